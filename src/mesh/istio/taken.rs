//! What istiod has taken into its store, and what it says of it.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    change::{DEADLINE, LiveError, REFUSED},
    gateway_api::{self, Progress},
    install::NAMESPACE as ROOT,
};
use crate::{cluster::object::Written, transport::http::Port, wait::Looks};

/// Waits until istiod reports of every route and gateway that it is as it should be.
pub(super) async fn await_accepted(istiod: &Port, written: &[Written]) -> Result<(), LiveError> {
    let ours = |written: &&Written| written.api_version.starts_with(gateway_api::GROUP);
    let wanted: Vec<&Written> = written.iter().filter(ours).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let looks = Looks::within(DEADLINE);
    loop {
        let store = store(istiod).await?;
        let each = wanted.iter().map(|written| {
            let what = format!("{} {}", written.kind, written.name);
            let said = find(&store, written).map(gateway_api::progress);
            (what, said.unwrap_or(Progress::Done))
        });
        let (what, words, limit) = match each
            .filter(|(_, said)| *said != Progress::Done)
            .max_by_key(|(_, said)| matches!(said, Progress::Refused(_)))
        {
            None => return Ok(()),
            Some((what, Progress::Refused(words))) => (what, words, REFUSED),
            Some((what, Progress::Pending(words))) => (what, words, DEADLINE),
            Some((_, Progress::Done)) => continue,
        };
        if looks.elapsed() > limit {
            return Err(LiveError::NotAccepted { what, words, limit });
        }
        looks.pause().await;
    }
}

/// Everything that istiod has taken.
async fn store(istiod: &Port) -> Result<Value, LiveError> {
    let all = istiod.json("/debug/configz").await;
    all.map_err(|error| LiveError::Istiod(Arc::new(error)))
}

/// What one change wrote, and what it deleted.
type Changed<'w> = (&'w [Written], &'w [Written]);

/// Waits until istiod's store holds every written object in at least its version, and none of the deleted; tells for each change
/// whether it does, and where proxies are narrowed.
pub(super) async fn await_taken(
    istiod: &Port,
    changes: &[Changed<'_>],
) -> (Vec<Result<(), LiveError>>, Narrowed) {
    let looks = Looks::within(DEADLINE);
    loop {
        let store = match store(istiod).await {
            Ok(store) => store,
            Err(error) => {
                let all = changes.iter().map(|_| Err(error.clone()));
                return (all.collect(), Narrowed::default());
            }
        };
        let missing: Vec<Option<String>> = changes
            .iter()
            .map(|change| missing(&store, change))
            .collect();
        if missing.iter().all(Option::is_none) || looks.over() {
            let each = missing.into_iter().map(|missing| match missing {
                None => Ok(()),
                Some(missing) => Err(LiveError::NotTaken {
                    missing,
                    limit: DEADLINE,
                }),
            });
            return (each.collect(), narrowed(&store));
        }
        looks.pause().await;
    }
}

/// What the store does not have of a change yet.
fn missing(store: &Value, (wanted, gone): &Changed<'_>) -> Option<String> {
    let ours = |written: &&Written| {
        let version = &written.api_version;
        version.contains(".istio.io/") || version.starts_with(gateway_api::GROUP)
    };
    let late = wanted
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
        // `Gateway` is a kind of Istio and of Gateway API.
        let group = |version: &str| version.split('/').next().map(str::to_owned);
        let same = config["apiVersion"].as_str().and_then(group) == group(&written.api_version);
        (same || config["apiVersion"].is_null())
            && config["kind"] == written.kind.as_str()
            && meta["name"] == written.name.as_str()
            && meta["namespace"].as_str() == written.namespace.as_deref()
    })
}

/// Versions of one object grow (etcd revisions), so a newer one holds what was written.
fn holds(store: &Value, written: &Written) -> bool {
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let have =
        find(store, written).and_then(|config| config["metadata"]["resourceVersion"].as_str());
    have.is_some_and(|have| number(have) >= number(&written.resource_version))
}

/// Namespaces in which a `Sidecar` says what proxies see, so that it may leave the marker out. One of the mesh's own namespace says it
/// for all.
pub(super) fn narrowed(store: &Value) -> Narrowed {
    let configs = store.as_array().into_iter().flatten();
    let sidecars = configs.filter(|config| config["kind"] == "Sidecar");
    let namespaces = sidecars.filter_map(|config| config["metadata"]["namespace"].as_str());
    Narrowed(namespaces.map(str::to_owned).collect())
}

/// See [`narrowed`].
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
