//! A run holds a Lease while it is active. A Lease that is no longer renewed shows that the run
//! is dead.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
    client::Body,
};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{
    holder::Holder,
    object::{MANAGER, RUN_LABEL},
};

/// Name of the Lease in a run's control namespace.
pub const LEASE: &str = "meshproof-run";
/// A Lease that is not renewed for this long is stale. A run that was suspended for longer (a
/// closed laptop) may find its namespaces gone.
pub const DURATION: Duration = Duration::from_secs(60);
/// Interval of renewals.
const RENEW: Duration = Duration::from_secs(15);

/// The API server's clock, which all runs on the cluster use: machines may disagree about the
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    ahead: SignedDuration,
}

impl Clock {
    /// Reads the server's time (the header `date` of a response, whole seconds), or this
    /// machine's if it sends none.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn of(client: &Client) -> Result<Self, kube::Error> {
        let request = http::Request::get("/version").body(Body::empty());
        let answer = client
            .send(request.map_err(kube::Error::HttpError)?)
            .await?;
        let output = answer.headers().get(http::header::DATE);
        let output = output.and_then(|date| date.to_str().ok()).and_then(date);
        let ahead = output.map_or(SignedDuration::ZERO, |output| {
            output.duration_since(Timestamp::now())
        });
        Ok(Self { ahead })
    }

    /// The server's time now.
    pub fn now(self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(self.ahead).unwrap_or(now)
    }
}

/// Parses an HTTP date (RFC 9110, IMF-fixdate).
fn date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp())
}

/// Holds a Lease until dropped.
pub struct Held {
    task: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Creates the Lease of the run `run` in its control namespace and renews it. Calls `tell` once
/// if renewal fails for so long that others may consider the run dead.
///
/// # Errors
/// The API server rejects the request or does not answer.
pub async fn hold(
    client: &Client,
    control: &str,
    run: &str,
    tell: impl Fn(String) + Send + 'static,
) -> Result<Held, kube::Error> {
    let clock = Clock::of(client).await?;
    let api: Api<Lease> = Api::namespaced(client.clone(), control);
    let now = MicroTime(clock.now());
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(LEASE.to_owned()),
            labels: Some([(RUN_LABEL.to_owned(), run.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(Holder::own().identity()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    };
    let params = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    api.create(&params, &lease).await?;
    let task = tokio::spawn(renew(api, clock, tell));
    Ok(Held { task })
}

/// Removes the Lease of an ended run, so that another can go on in its name.
///
/// # Errors
/// The API server rejects the request or does not answer.
pub async fn release(client: &Client, control: &str) -> Result<(), kube::Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), control);
    gone(api.delete(LEASE, &DeleteParams::default()).await)
}

/// A deletion is done if there was nothing to delete.
pub(super) fn gone<T>(deleted: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop),
    }
}

async fn renew(api: Api<Lease>, clock: Clock, tell: impl Fn(String) + Send) {
    let mut ticks = tokio::time::interval(RENEW);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut last, mut reported) = (tokio::time::Instant::now(), false);
    loop {
        ticks.tick().await;
        let patch = json!({"spec": {"renewTime": MicroTime(clock.now())}});
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let renewed = tokio::time::timeout(RENEW, api.patch(LEASE, &params, &patch)).await;
        let message = match renewed {
            Ok(Ok(_)) => {
                last = tokio::time::Instant::now();
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no response within {RENEW:?}"),
        };
        if last.elapsed() > DURATION && !reported {
            reported = true;
            tell(format!(
                "the run's Lease was not renewed for {} s ({message}): other runs may consider this one dead and remove its namespaces",
                last.elapsed().as_secs()
            ));
        }
    }
}

/// Whether the run that holds a Lease is dead: its process is known to have ended, or the Lease
/// is stale at the time `now`.
pub fn is_dead(spec: &LeaseSpec, now: Timestamp) -> bool {
    if Holder::is_gone(spec.holder_identity.as_deref().unwrap_or_default()) {
        return true;
    }
    let lasts = spec.lease_duration_seconds.unwrap_or(0).max(0);
    let renewed = spec.renew_time.as_ref().or(spec.acquire_time.as_ref());
    renewed.is_some_and(|at| now.duration_since(at.0) > SignedDuration::from_secs(lasts.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(holder: &str, seconds_ago: i64) -> LeaseSpec {
        let at = Timestamp::from_second(1_000_000 - seconds_ago).unwrap();
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(60),
            renew_time: Some(MicroTime(at)),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_alive_until_its_duration_is_over() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let of = |ago| is_dead(&spec("elsewhere/1/1.1", ago), now);
        assert_eq!([of(-5), of(0), of(60), of(61)], [false, false, false, true]);
    }

    #[test]
    fn the_holder_counts_when_it_can_be_looked_for() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert!(!is_dead(&spec(&Holder::own().identity(), 0), now));
        let ended = Holder::own()
            .identity()
            .replace(&format!("/{}.", std::process::id()), "/999999999.");
        assert!(is_dead(&spec(&ended, 0), now), "{ended}");
    }

    #[test]
    fn a_lease_without_times_is_nobodys_death() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert!(!is_dead(&LeaseSpec::default(), now));
    }

    #[test]
    fn the_servers_date_is_read() {
        let at = date("Mon, 30 Nov 2026 12:35:20 GMT").unwrap();
        assert_eq!(at.to_string(), "2026-11-30T12:35:20Z");
        assert_eq!(date("yesterday"), None);
    }
}
