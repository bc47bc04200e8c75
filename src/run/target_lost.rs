//! Detects that the target of a run has ended. Then the verdict of every unfinished scenario is
//! ERROR, with that as the cause.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use kube::Client;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{errors::chain, timeouts::timeouts};

/// Time between two requests.
const BEAT: Duration = Duration::from_secs(2);

/// Whether and why the target has ended. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct TargetLost {
    happened: CancellationToken,
    why: Arc<OnceLock<String>>,
}

impl TargetLost {
    /// Records that the target has ended. The first reason is kept.
    pub fn set(&self, why: String) {
        // The target can end only once.
        let _ = self.why.set(why);
        self.happened.cancel();
    }

    /// Why the target ended, if it has.
    pub fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    /// Waits for the end of the target and returns the reason.
    pub async fn wait(&self) -> &str {
        self.happened.cancelled().await;
        self.why().unwrap_or("the target ended")
    }

    /// Returns why the target ended, if its end may be the cause of a failure just now. If the
    /// API server does not answer, waits until the target is known to have ended.
    pub async fn suspected(&self, client: &Client) -> Option<&str> {
        let limits = timeouts().run;
        if self.why().is_none() && answers(client, limits.api_answer).await.is_ok() {
            return None;
        }
        timeout(limits.end_noticed, self.wait()).await.ok()
    }
}

/// An error of an API server that does not answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error(transparent)]
    Failed(#[from] kube::Error),
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

/// Succeeds if the API server gives any answer, even a denial.
async fn answers(client: &Client, limit: Duration) -> Result<(), NoAnswer> {
    let request = http::Request::get("/readyz").body(Vec::new());
    let request = request.map_err(kube::Error::HttpError)?;
    match timeout(limit, client.request_text(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code < 500 => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(NoAnswer::Silent(limit)),
    }
}

/// Waits until the API server has been silent for long enough to count as gone, and returns a
/// message with the last error.
pub async fn gone(client: &Client) -> String {
    gone_after(client, timeouts().run.api_gone, BEAT).await
}

async fn gone_after(client: &Client, limit: Duration, beat: Duration) -> String {
    let mut silent: Option<Instant> = None;
    let mut beats = interval(beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        match answers(client, timeouts().run.api_answer).await {
            Ok(()) => silent = None,
            Err(last) => {
                let since = *silent.get_or_insert_with(Instant::now);
                if since.elapsed() >= limit {
                    let seconds = limit.as_secs();
                    let last = chain(&last);
                    return format!("the API server has not answered for {seconds} s: {last}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let uri = format!("http://127.0.0.1:{port}").parse().unwrap();
        Client::try_from(kube::Config::new(uri)).unwrap()
    }

    /// A client of a port on which nothing listens.
    fn nobody() -> Client {
        client(1)
    }

    #[tokio::test]
    async fn an_api_server_that_takes_a_question_and_says_nothing_does_not_answer() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(silent.local_addr().unwrap().port());
        let answer = answers(&client, Duration::from_millis(100)).await;
        let error = answer.expect_err("it does not answer");
        assert_eq!(error.to_string(), "no answer within 100ms");
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_is_gone_after_a_while() {
        let start = Instant::now();
        let limit = Duration::from_secs(1);
        let message = gone_after(&nobody(), limit, Duration::from_millis(10)).await;
        assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
        assert!(message.contains("has not answered for 1 s"), "{message}");
        assert!(message.contains("refused"), "the last error: {message}");
    }

    #[tokio::test]
    async fn the_first_reason_is_told_to_everybody() {
        let lost = TargetLost::default();
        assert_eq!(lost.why(), None);
        let other = lost.clone();
        let waiting = tokio::spawn(async move { other.wait().await.to_owned() });
        lost.set("etcd ended".to_owned());
        lost.set("the API server ended".to_owned());
        assert_eq!(waiting.await.unwrap(), "etcd ended");
        assert_eq!(lost.suspected(&nobody()).await, Some("etcd ended"));
    }
}
