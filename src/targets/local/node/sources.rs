//! Who hears about changes of ConfigMaps and Secrets.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::mpsc;

use super::{
    message::Message,
    source::{Data, SourceKey},
};

/// The senders of the pods that listen, by their uids.
type Listeners = HashMap<String, mpsc::UnboundedSender<Message>>;

/// The pods that want to hear about changes, by object.
#[derive(Default)]
pub(super) struct Sources {
    listeners: Mutex<HashMap<(String, SourceKey), Listeners>>,
}

impl Sources {
    /// From now on `sender`, of the pod `uid`, hears about the object.
    pub fn subscribe(
        &self,
        namespace: &str,
        key: &SourceKey,
        uid: &str,
        sender: &mpsc::UnboundedSender<Message>,
    ) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners
            .entry((namespace.to_owned(), key.clone()))
            .or_default()
            .insert(uid.to_owned(), sender.clone());
    }

    /// The pod hears nothing any more.
    pub fn unsubscribe(&self, uid: &str) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|_, pods| {
            pods.remove(uid);
            !pods.is_empty()
        });
    }

    /// Tells the pods concerned what the object holds now. `data` is asked for only when there is
    /// one.
    pub fn publish(&self, namespace: &str, key: SourceKey, data: impl FnOnce() -> Option<Data>) {
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let full = (namespace.to_owned(), key);
        if let Some(pods) = listeners.get(&full) {
            let data = data();
            for sender in pods.values() {
                let _ = sender.send(Message::Source(full.1.clone(), data.clone()));
            }
        }
    }
}
