//! Subscriptions of pods to changes of ConfigMaps and Secrets.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::mpsc;

use super::{
    message::Message,
    source::{Data, SourceKey},
};

/// Senders of the subscribed pods, by UID.
type Listeners = HashMap<String, mpsc::UnboundedSender<Message>>;

/// The subscribed pods, by object.
#[derive(Default)]
pub(super) struct Sources {
    listeners: Mutex<HashMap<(String, SourceKey), Listeners>>,
}

impl Sources {
    /// Subscribes the pod `uid` to the object; changes are sent to `sender`.
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

    /// Ends all subscriptions of the pod.
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

    /// Sends the object's current contents to the subscribed pods. `data` is called only if there
    /// are any.
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
