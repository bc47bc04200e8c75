//! What istiod has stored, and the status it reports for it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::{join_all, try_join_all};
use serde_json::Value;

use super::{
    change::PropagationError,
    gateway_api::{self, Acceptance},
};
use crate::mesh::istio::{control_plane::ControlPlanes, install::NAMESPACE as ROOT};
use crate::{
    cluster::object::Written,
    timeouts::timeouts,
    transport::http::PodPort,
    wait::{self, Look, WaitError},
};

/// Waits until every control plane reports the expected status of every route and gateway.
pub(super) async fn await_accepted(
    control_planes: &ControlPlanes,
    written: &[Written],
) -> Result<(), PropagationError> {
    let each = control_planes.all();
    try_join_all(each.map(|one| await_accepted_by(&one.debug, written)))
        .await
        .map(drop)
}

async fn await_accepted_by(istiod: &PodPort, written: &[Written]) -> Result<(), PropagationError> {
    let ours = |written: &&Written| written.api_version.starts_with(gateway_api::GROUP);
    let expected: Vec<&Written> = written.iter().filter(ours).collect();
    if expected.is_empty() {
        return Ok(());
    }
    let limit = timeouts().mesh.push;
    let waited = wait::until(limit, async |elapsed| {
        accepts(istiod, &expected, elapsed).await
    });
    waited.await.map_err(|error| {
        error.or_late(|late| {
            let (what, message) = late.last_seen;
            PropagationError::NotAccepted {
                what,
                message,
                limit,
            }
        })
    })
}

/// Whether istiod reports the expected status of all of them. A rejection counts once it has
/// lasted for a while.
async fn accepts(
    istiod: &PodPort,
    expected: &[&Written],
    elapsed: Duration,
) -> Result<Look<(), (String, String)>, PropagationError> {
    let (store, refusal) = (store(istiod).await?, timeouts().mesh.refusal);
    let mut pending = None;
    for written in expected {
        let what = format!("{} {}", written.kind, written.name);
        match find(&store, written).map_or(Acceptance::Done, gateway_api::progress) {
            Acceptance::Done => {}
            Acceptance::Refused(message) if elapsed > refusal => {
                let limit = refusal;
                return Err(PropagationError::NotAccepted {
                    what,
                    message,
                    limit,
                });
            }
            Acceptance::Refused(message) | Acceptance::Pending(message) => {
                pending = Some((what, message))
            }
        }
    }
    Ok(pending.map_or(Look::Met(()), Look::Unmet))
}

/// All configuration in istiod's store.
async fn store(istiod: &PodPort) -> Result<Value, PropagationError> {
    let all = istiod.json("/debug/configz").await;
    all.map_err(|error| PropagationError::Istiod(Arc::new(error)))
}

/// What one change wrote, and what it deleted.
type Changed<'w> = (&'w [Written], &'w [Written]);

/// Waits until the store of every control plane has every written object in at least its version,
/// and none of the deleted ones. Returns the result for each change, and the namespaces in which
/// a `Sidecar` limits what proxies see.
pub(super) async fn await_taken(
    control_planes: &ControlPlanes,
    changes: &[Changed<'_>],
) -> (Vec<Result<(), PropagationError>>, Narrowed) {
    let waits = control_planes.all();
    let waits = waits.map(|one| await_taken_by(&one.debug, changes));
    let mut all = (vec![Ok(()); changes.len()], Narrowed::default());
    for (taken, narrowed) in join_all(waits).await {
        for (so_far, taken) in all.0.iter_mut().zip(taken) {
            if so_far.is_ok() {
                *so_far = taken;
            }
        }
        all.1.0.extend(narrowed.0);
    }
    all
}

async fn await_taken_by(
    istiod: &PodPort,
    changes: &[Changed<'_>],
) -> (Vec<Result<(), PropagationError>>, Narrowed) {
    let limit = timeouts().mesh.push;
    let waited = wait::until(limit, async |_| has_taken(istiod, changes).await);
    match waited.await {
        Ok(narrowed) => (changes.iter().map(|_| Ok(())).collect(), narrowed),
        Err(WaitError::Failed(error)) => {
            let all = changes.iter().map(|_| Err(error.clone()));
            (all.collect(), Narrowed::default())
        }
        Err(WaitError::TimedOut(late)) => {
            let (missing, narrowed) = late.last_seen;
            let each = missing.into_iter().map(|missing| match missing {
                None => Ok(()),
                Some(missing) => Err(PropagationError::NotTaken { missing, limit }),
            });
            (each.collect(), narrowed)
        }
    }
}

/// Whether the store has all of the changes, and otherwise what it lacks of each.
async fn has_taken(
    istiod: &PodPort,
    changes: &[Changed<'_>],
) -> Result<Look<Narrowed, (Vec<Option<String>>, Narrowed)>, PropagationError> {
    let store = store(istiod).await?;
    let missing = changes.iter().map(|change| missing(&store, change));
    let missing: Vec<Option<String>> = missing.collect();
    let narrowed = narrowed(&store);
    Ok(if missing.iter().all(Option::is_none) {
        Look::Met(narrowed)
    } else {
        Look::Unmet((missing, narrowed))
    })
}

/// The first object of a change that the store lacks or still has.
fn missing(store: &Value, (expected, gone): &Changed<'_>) -> Option<String> {
    let ours = |written: &&Written| {
        let version = &written.api_version;
        version.contains(".istio.io/") || version.starts_with(gateway_api::GROUP)
    };
    let late = expected
        .iter()
        .filter(ours)
        .find(|written| !holds(store, written));
    let late = late.map(|written| format!("{} {}", written.kind, written.name));
    let mut gone = gone.iter().filter(ours);
    let left =
        gone.find(|written| find(store, written).is_some() || gateway_api::lingers(store, written));
    late.or_else(|| left.map(|left| format!("the removal of {} {}", left.kind, left.name)))
}

fn find<'a>(store: &'a Value, written: &Written) -> Option<&'a Value> {
    store.as_array()?.iter().find(|config| {
        let meta = &config["metadata"];
        // Both Istio and Gateway API have a kind `Gateway`.
        let group = |version: &str| version.split('/').next().map(str::to_owned);
        let same = config["apiVersion"].as_str().and_then(group) == group(&written.api_version);
        (same || config["apiVersion"].is_null())
            && config["kind"] == written.kind.as_str()
            && meta["name"] == written.name.as_str()
            && meta["namespace"].as_str() == written.namespace.as_deref()
    })
}

/// The versions of an object grow (etcd revisions), so a newer one includes what was written.
fn holds(store: &Value, written: &Written) -> bool {
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let have =
        find(store, written).and_then(|config| config["metadata"]["resourceVersion"].as_str());
    have.is_some_and(|have| number(have) >= number(&written.resource_version))
}

/// Namespaces in which a `Sidecar` limits what proxies see, so that it may hide the marker. One
/// in the mesh's root namespace affects all namespaces.
pub(super) fn narrowed(store: &Value) -> Narrowed {
    let configs = store.as_array().into_iter().flatten();
    let sidecars = configs.filter(|config| config["kind"] == "Sidecar");
    let namespaces = sidecars.filter_map(|config| config["metadata"]["namespace"].as_str());
    Narrowed(namespaces.map(str::to_owned).collect())
}

/// The result of [`narrowed`].
#[derive(Debug, Default)]
pub(super) struct Narrowed(BTreeSet<String>);

impl Narrowed {
    pub(super) fn holds_in(&self, namespace: &str) -> bool {
        self.0.contains(namespace) || self.0.contains(ROOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(version: &str) -> Written {
        Written {
            api_version: "networking.istio.io/v1".into(),
            kind: "VirtualService".into(),
            namespace: Some("a".into()),
            name: "x".into(),
            resource_version: version.into(),
            ..Written::default()
        }
    }

    #[rstest::rstest]
    #[case::older("7", "9", false)]
    #[case::same("9", "9", true)]
    #[case::newer_with_more_digits("10", "9", true)]
    fn the_store_must_hold_at_least_the_written_version(
        #[case] have: &str,
        #[case] want: &str,
        #[case] holds_it: bool,
    ) {
        let store = json!([{"kind": "VirtualService", "metadata": {"name": "x", "namespace": "a", "resourceVersion": have}}]);
        assert_eq!(holds(&store, &written(want)), holds_it);
        assert!(!holds(&json!([]), &written(want)));
    }

    #[test]
    fn a_sidecar_may_hide_the_marker_in_its_namespace_and_the_meshs_own_in_all() {
        let store = |namespace: &str| {
            let metadata = json!({"name": "x", "namespace": namespace});
            json!([{"kind": "Sidecar", "metadata": metadata}, {"kind": "VirtualService", "metadata": {"namespace": "c"}}])
        };
        let held = narrowed(&store("a"));
        assert!(held.holds_in("a") && !held.holds_in("b") && !held.holds_in("c"));
        assert!(narrowed(&store(ROOT)).holds_in("b"));
    }
}
