//! Watches whether the API server answers: waits with a deadline depend on it.

use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use tokio::{
    task::JoinHandle,
    time::{Instant, interval},
};

use super::pulse::{Answer, BEAT, Beats, Who};
use crate::{errors::ErrorClass, verdict::guard::Stalled};

/// Identity of the API server in place of a pod's UID.
const UID: &str = "the API server";

/// Polls the API server, and through it etcd, until dropped.
pub struct ApiPulse {
    beats: Arc<Mutex<Beats>>,
    task: JoinHandle<()>,
}

impl Drop for ApiPulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiPulse {
    /// Starts polling.
    pub fn start(client: &Client) -> Self {
        let beats = Arc::new(Mutex::new(Beats::default()));
        let task = tokio::spawn(beat(Arc::clone(&beats), client.clone()));
        Self { beats, task }
    }

    /// Returns the periods since `start` in which there was no answer.
    pub fn since(&self, start: Instant) -> Vec<Stalled> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.since(start, Instant::now(), |_| true)
    }
}

async fn beat(beats: Arc<Mutex<Beats>>, client: Client) {
    let lock = || beats.lock().unwrap_or_else(PoisonError::into_inner);
    let who = Who {
        name: "the API server".to_owned(),
        class: ErrorClass::Mesh,
    };
    let mut next = interval(BEAT);
    loop {
        next.tick().await;
        lock().ask(&who, UID, Instant::now());
        // `readyz` checks etcd. A denial is an answer as well.
        let answer = match http::Request::get("/readyz").body(Vec::new()) {
            Ok(request) => client.request_text(request).await,
            Err(_) => return,
        };
        let answer = match answer {
            Ok(_) | Err(kube::Error::Api(_)) => Answer::Runs(None),
            Err(_) => Answer::Gone,
        };
        lock().back(&who, answer, Instant::now());
    }
}
