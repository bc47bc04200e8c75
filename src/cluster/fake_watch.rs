//! Watches of the in-memory API server: every change in order, starting at the version of a list.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::stream;
use http::Uri;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Fake, Inner, is_in, selects};

/// A change of an object.
#[derive(Clone)]
pub struct Change {
    /// `ADDED`, `MODIFIED` or `DELETED`.
    kind: &'static str,
    path: String,
    object: Value,
}

impl Inner {
    /// Stores an object and notifies watchers.
    pub fn insert(&mut self, path: &str, mut object: Value) -> Value {
        let kind = match self.objects.contains_key(path) {
            true => "MODIFIED",
            false => "ADDED",
        };
        object["metadata"]["resourceVersion"] = (self.log.len() + 1).to_string().into();
        self.objects.insert(path.to_owned(), object.clone());
        self.tell(kind, path.to_owned(), object.clone());
        object
    }

    /// Removes an object; for a namespace, with its contents.
    pub(super) fn take(&mut self, path: &str) {
        let within = format!("{path}/");
        let gone = self
            .objects
            .extract_if(.., |at, _| at == path || at.starts_with(&within));
        for (path, object) in gone.collect::<Vec<_>>() {
            self.tell("DELETED", path, object);
        }
    }

    fn tell(&mut self, kind: &'static str, path: String, object: Value) {
        self.log.push(Change { kind, path, object });
        self.length.send_replace(self.log.len());
    }
}

/// The state of one watcher.
struct Watcher {
    fake: Fake,
    length: watch::Receiver<usize>,
    collection: String,
    selector: Option<String>,
    /// Number of changes that it has processed.
    seen: usize,
    next: VecDeque<Bytes>,
}

impl Watcher {
    fn look(&mut self) {
        let new: Vec<Change> = self.fake.with(|inner| {
            let new = inner.log[self.seen.min(inner.log.len())..].to_vec();
            self.seen = inner.log.len();
            new
        });
        let mine = new.into_iter().filter(|change| {
            is_in(&change.path, &self.collection)
                && selects(self.selector.as_deref(), &change.object)
        });
        let lines = mine.map(|change| {
            let line = json!({"type": change.kind, "object": change.object});
            Bytes::from(format!("{line}\n"))
        });
        self.next.extend(lines);
    }
}

/// The response to a watch request. It never ends.
pub(super) fn events(fake: &Fake, uri: &Uri) -> Option<UnsyncBoxBody<Bytes, std::io::Error>> {
    let query = percent_encoding::percent_decode_str(uri.query()?);
    let query = query.decode_utf8_lossy().into_owned();
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    if !matches!(value("watch"), Some("true" | "1")) {
        return None;
    }
    let watcher = Watcher {
        fake: fake.clone(),
        length: fake.changes(),
        collection: uri.path().to_owned(),
        selector: value("labelSelector").map(str::to_owned),
        seen: value("resourceVersion")
            .and_then(|version| version.parse().ok())
            .unwrap_or(0),
        next: VecDeque::new(),
    };
    let lines = stream::unfold(watcher, |mut watcher| async move {
        loop {
            watcher.length.borrow_and_update();
            watcher.look();
            if let Some(line) = watcher.next.pop_front() {
                return Some((Ok(Frame::data(line)), watcher));
            }
            watcher.length.changed().await.ok()?;
        }
    });
    Some(StreamBody::new(lines).boxed_unsync())
}
