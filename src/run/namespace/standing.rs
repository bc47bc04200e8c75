//! What stays in a namespace from one scenario to the next: Deployments with their pods, and the
//! accounts of these.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cluster::object::Written,
    plan::isolation::{Isolation, STANDING},
    scenario::model::Workload,
};

/// Cost of starting a pod with a proxy, compared to one without.
const PROXY: u32 = 5;
/// Cost of starting a pod without a proxy.
const POD: u32 = 2;
/// Cost of removing a pod.
const REMOVAL: u32 = 1;

/// One workload as the API server gets it, except for the number of its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its standing objects, before placeholders are replaced.
    key: String,
    pub replicas: u32,
    has_proxy: bool,
    /// Kinds and names of its standing objects.
    pub objects: BTreeSet<(String, String)>,
}

/// The workloads of a namespace, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape(pub BTreeMap<String, Member>);

/// The workloads that stay in a namespace, and their objects in the API server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Standing {
    shape: Shape,
    pub written: Vec<Written>,
}

impl Member {
    /// From the objects of one workload, before placeholders are replaced.
    pub fn of(objects: &[Value]) -> Self {
        let standing = objects.iter().filter(|object| is_standing(object));
        let mut standing: Vec<Value> = standing.cloned().collect();
        let mut replicas = 1;
        for object in &mut standing {
            if let Some(spec) = object["spec"].as_object_mut()
                && let Some(count) = spec.remove("replicas")
            {
                replicas = count
                    .as_u64()
                    .and_then(|count| u32::try_from(count).ok())
                    .unwrap_or(1);
            }
        }
        let names = standing.iter().map(kind_and_name);
        let inject = "/spec/template/metadata/labels/sidecar.istio.io~1inject";
        let mut proxies = standing
            .iter()
            .filter_map(|object| object.pointer(inject)?.as_str());
        Self {
            has_proxy: proxies.any(|inject| inject == "true"),
            replicas,
            objects: names.collect(),
            key: Value::Array(standing).to_string(),
        }
    }

    /// Whether its pods can be used where `other` is wanted, apart from their number.
    pub fn is_like(&self, other: &Self) -> bool {
        self.key == other.key
    }

    fn pod(&self) -> u32 {
        POD + if self.has_proxy { PROXY } else { 0 }
    }
}

impl Shape {
    /// The cost of making this out of what a namespace has.
    pub fn cost(&self, present: &Self) -> u32 {
        let missing = self.0.iter().map(|(name, wanted)| {
            let there = present.0.get(name).filter(|there| there.is_like(wanted));
            let there = there.map_or(0, |there| there.replicas);
            wanted.replicas.saturating_sub(there) * wanted.pod()
        });
        let surplus = present.0.iter().map(|(name, there)| {
            let wanted = self.0.get(name).filter(|wanted| wanted.is_like(there));
            let wanted = wanted.map_or(0, |wanted| wanted.replicas);
            there.replicas.saturating_sub(wanted) * REMOVAL
        });
        missing.sum::<u32>() + surplus.sum::<u32>()
    }

    /// The workloads of `present` that are not wanted here in that form.
    pub fn surplus<'a>(&self, present: &'a Self) -> BTreeMap<&'a str, &'a Member> {
        let present = present.0.iter();
        let kept = |name: &str, there: &Member| {
            self.0.get(name).is_some_and(|wanted| wanted.is_like(there))
        };
        present
            .filter(|(name, there)| !kept(name, there))
            .map(|(name, there)| (name.as_str(), there))
            .collect()
    }
}

impl Standing {
    /// Those of the written objects that belong to workloads of `shape`.
    pub fn new(shape: Shape, written: &[Written]) -> Self {
        let objects: BTreeSet<_> = shape.0.values().flat_map(|one| &one.objects).collect();
        let mine = |one: &&Written| objects.contains(&(one.kind.clone(), one.name.clone()));
        let written = written.iter().filter(mine).cloned().collect();
        Self { shape, written }
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether it has this object.
    pub fn has(&self, object: &Value) -> bool {
        let (kind, name) = kind_and_name(object);
        let mut all = self.written.iter();
        all.any(|one| one.kind == kind && one.name == name)
    }

    /// Takes over the numbers of pods that are wanted. Returns those that changed.
    pub fn adopt_replicas(&mut self, wanted: &Shape) -> Vec<(String, u32)> {
        let mut changed = Vec::new();
        for (name, member) in &mut self.shape.0 {
            if let Some(wanted) = wanted.0.get(name)
                && wanted.replicas != member.replicas
            {
                member.replicas = wanted.replicas;
                changed.push((name.clone(), wanted.replicas));
            }
        }
        changed
    }

    /// Removes some workloads. Returns their objects, without those that others have too.
    pub fn remove(&mut self, surplus: &BTreeSet<String>) -> Vec<Written> {
        self.shape.0.retain(|name, _| !surplus.contains(name));
        let before = std::mem::take(self);
        *self = Self::new(before.shape, &before.written);
        let mut gone = before.written;
        gone.retain(|one| !self.written.contains(one));
        gone
    }
}

/// The shapes of the workloads that a scenario shares with others: what it wants to find, and what
/// it leaves.
pub fn shape(
    isolation: &Isolation,
    workloads: &[(Workload, Vec<Value>)],
    adapted: impl Fn(&Workload, &[Value]) -> Vec<Value>,
) -> Shape {
    let shared = workloads
        .iter()
        .filter(|(workload, _)| isolation.shares(&workload.name));
    let members = shared.map(|(workload, documents)| {
        let objects = adapted(workload, documents);
        (workload.name.clone(), Member::of(&objects))
    });
    // What is different in every scenario cannot be shared.
    let members = members.filter(|(_, member)| !member.key.contains("${host}"));
    Shape(members.collect())
}

fn is_standing(object: &Value) -> bool {
    object["kind"]
        .as_str()
        .is_some_and(|kind| STANDING.contains(&kind))
}

fn kind_and_name(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(name: &str, proxy: bool, replicas: u32) -> Member {
        let inject = proxy.to_string();
        Member::of(&[
            json!({"kind": "Service", "metadata": {"name": "never-counts"}}),
            json!({"kind": "ServiceAccount", "metadata": {"name": "shared-account"}}),
            json!({"kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas,
                "template": {"metadata": {"labels": {"sidecar.istio.io/inject": inject}}}}}),
        ])
    }

    fn shape(members: &[(&str, bool, u32)]) -> Shape {
        let each = members
            .iter()
            .map(|(name, proxy, replicas)| ((*name).to_owned(), member(name, *proxy, *replicas)));
        Shape(each.collect())
    }

    #[test]
    fn what_is_there_costs_nothing_and_proxies_cost_most() {
        let wanted = shape(&[("caller", true, 1), ("greeter", false, 3)]);
        let cost = |members: &[(&str, bool, u32)]| wanted.cost(&shape(members));
        assert_eq!(cost(&[("caller", true, 1), ("greeter", false, 3)]), 0);
        let none = cost(&[]);
        let servers = cost(&[("greeter", false, 3)]);
        let caller = cost(&[("caller", true, 1)]);
        assert!(
            caller < servers && servers < none,
            "{caller} {servers} {none}"
        );
        let more = cost(&[
            ("caller", true, 1),
            ("greeter", false, 3),
            ("user", false, 1),
        ]);
        assert_eq!(more, REMOVAL);
        let other = cost(&[("caller", false, 1), ("greeter", false, 3)]);
        assert_eq!(
            other,
            POD + PROXY + REMOVAL,
            "a caller of another kind is no use"
        );
        let fewer = cost(&[("caller", true, 1), ("greeter", false, 1)]);
        assert_eq!(fewer, 2 * POD, "its pods are of use");
    }

    fn written(kind: &str, name: &str) -> Written {
        Written {
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Written::default()
        }
    }

    #[test]
    fn what_two_workloads_share_stays_as_long_as_one_of_them() {
        let all = [
            written("Deployment", "a"),
            written("Deployment", "b"),
            written("ServiceAccount", "shared-account"),
            written("Service", "never-counts"),
        ];
        let mut standing = Standing::new(shape(&[("a", false, 1), ("b", false, 1)]), &all);
        assert_eq!(standing.written.len(), 3, "Services go with the scenario");
        let gone = standing.remove(&BTreeSet::from(["a".to_owned()]));
        let names = |all: &[Written]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&gone), ["a"]);
        assert_eq!(names(&standing.written), ["b", "shared-account"]);
        assert!(standing.has(&json!({"kind": "Deployment", "metadata": {"name": "b"}})));
        assert!(!standing.has(&json!({"kind": "Deployment", "metadata": {"name": "a"}})));
    }

    #[test]
    fn the_number_of_pods_is_adopted_where_it_differs() {
        let mut standing = Standing::new(shape(&[("a", false, 1), ("b", false, 2)]), &[]);
        let wanted = shape(&[("a", false, 3), ("b", false, 2), ("c", false, 1)]);
        assert_eq!(standing.adopt_replicas(&wanted), [("a".to_owned(), 3)]);
        assert_eq!(standing.shape().0["a"].replicas, 3);
    }

    #[test]
    fn what_differs_in_every_scenario_is_not_shared() {
        let workload = |name: &str| (Workload::named(name, "greeter"), Vec::new());
        let isolation = Isolation {
            own: BTreeMap::from([("own".to_owned(), "args".to_owned())]),
            ..Isolation::default()
        };
        let workloads = [workload("plain"), workload("own"), workload("host")];
        let adapted = |workload: &Workload, _: &[Value]| {
            let env = match workload.name.as_str() {
                "host" => "${host}",
                _ => "${namespace}",
            };
            vec![json!({"kind": "Deployment", "metadata": {"name": workload.name}, "env": env})]
        };
        let shared = super::shape(&isolation, &workloads, adapted);
        assert_eq!(shared.0.keys().collect::<Vec<_>>(), ["plain"]);
        let private = super::shape(&Isolation::private("it runs alone"), &workloads, adapted);
        assert!(private.0.is_empty());
    }
}
