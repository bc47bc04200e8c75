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
        let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else {
            return;
        };
        if answers(client.request_text(request).await) {
            lock().back(&who, Answer::Runs(None), Instant::now());
        }
    }
}

/// True if the API server is of use. `readyz` checks etcd, so a server error is no answer, as a
/// failed connection is none: the request stays open until one comes. A denial is an answer.
fn answers(answer: kube::Result<String>) -> bool {
    match answer {
        Ok(_) => true,
        Err(kube::Error::Api(status)) => status.code < 500,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn denied(code: u16) -> kube::Result<String> {
        let status = kube::core::Status::failure("no", "Because").with_code(code);
        Err(kube::Error::Api(Box::new(status)))
    }

    #[rstest]
    #[case::ready(Ok("ok".to_owned()), true)]
    #[case::denied(denied(403), true)]
    #[case::without_etcd(denied(500), false)]
    #[case::overloaded(denied(503), false)]
    #[case::no_connection(Err(kube::Error::LinesCodecMaxLineLengthExceeded), false)]
    fn a_server_error_is_no_answer(#[case] answer: kube::Result<String>, #[case] expected: bool) {
        assert_eq!(answers(answer), expected);
    }
}
