//! What a manifest does to others: objects that affect more than the scenario's own namespace and
//! host.
//!
//! Pure, on objects as written, with their placeholders: `${namespace}` and `${host}` belong to one
//! scenario alone. A scenario whose objects reach others runs alone (`plan`), and lint reports the
//! position and a remedy.
//!
//! Sources: Istio's reference of Gateway (`selector`, `servers.hosts`), VirtualService and
//! ServiceEntry (`gateways`, `exportTo`), the root namespace of its policies
//! (`meshConfig.rootNamespace`), Gateway API's `parentRefs` and `hostnames`, Kubernetes' Ingress
//! and Service.

use serde_json::Value;

use super::{
    kinds::is_cluster_scoped,
    loaded::{LoadedScenario, SiblingFile},
    objects,
    verb::{Step, spec::Fate},
};

mod hosts;
mod kinds;

/// The mesh's own namespace, which is also its root namespace: policies in it apply to every
/// namespace.
const ROOT: &str = "istio-system";

/// One way in which an object reaches others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Path of the value in the object, as in [`crate::yaml::SourceMap`]:
    /// `spec.servers[0].hosts[0]`.
    pub at: String,
    /// What it reaches: `Gateway my-gateway claims every host on the shared gateway`.
    pub message: String,
    /// How to avoid it.
    pub help: &'static str,
}

/// A [`Reach`] with its file and document.
#[derive(Debug, Clone)]
pub struct LocatedReach {
    pub file: SiblingFile,
    /// Index of the object in the file, from 0.
    pub document: usize,
    pub reach: Reach,
}

/// How an object affects others than the scenario that applies it; empty if it affects none.
pub fn reaches(object: &Value) -> Vec<Reach> {
    let kind = text(object, "/kind");
    if is_cluster_scoped(text(object, "/apiVersion"), kind) {
        let own = text(object, "/metadata/name").contains("${namespace}");
        let reach = || {
            let message = "is cluster-scoped";
            let help =
                "remove it, or put `${namespace}` into its name if nothing else depends on it";
            self::reach(object, "metadata.name", message, help)
        };
        return if own { Vec::new() } else { vec![reach()] };
    }
    let mut all: Vec<Reach> = elsewhere(object).into_iter().collect();
    all.extend(kinds::reaches(object));
    all
}

/// The reaches of all objects in the files that the scenario applies and in its own workload files.
/// Files that cannot be read are skipped: lint reports them.
pub fn find(loaded: &LoadedScenario) -> Vec<LocatedReach> {
    let workloads = loaded.scenario.workloads.iter();
    let workloads = workloads.filter_map(|workload| loaded.workload(&workload.template).ok()?);
    applied(loaded).chain(workloads).flat_map(in_file).collect()
}

/// The files that the scenario applies. Those that cannot be read are skipped.
pub fn applied(loaded: &LoadedScenario) -> impl Iterator<Item = SiblingFile> {
    let files = loaded.scenario.steps.iter().filter_map(Step::file);
    let applied = files.filter(|file| matches!(file.fate, Fate::Taken | Fate::RefusedByProxy));
    let mut names: Vec<&str> = applied.map(|file| file.name).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| loaded.config(name).ok()?)
}

/// Why a scenario must run alone; `None` if it may run beside others.
pub fn serial(loaded: &LoadedScenario) -> Option<String> {
    if loaded.scenario.serial {
        return Some("`serial: true` is set".to_owned());
    }
    find(loaded)
        .into_iter()
        .next()
        .map(|found| found.reach.message)
}

fn in_file(file: SiblingFile) -> Vec<LocatedReach> {
    let documents = objects::objects(&file.text).unwrap_or_default();
    let each = documents.iter().enumerate().flat_map(|(document, read)| {
        let file = &file;
        reaches(&read.value)
            .into_iter()
            .map(move |reach| LocatedReach {
                file: file.clone(),
                document,
                reach,
            })
    });
    each.collect()
}

/// The object is in a namespace that is not the scenario's.
fn elsewhere(object: &Value) -> Option<Reach> {
    let namespace = text(object, "/metadata/namespace");
    if namespace.is_empty() || hosts::is_own_namespace(namespace) {
        return None;
    }
    let message = if namespace == ROOT {
        "is in the mesh's root namespace and applies to every namespace".to_owned()
    } else {
        format!("is in the namespace {namespace}, which is not the scenario's")
    };
    let help = "omit `namespace:`: the object is then created in the scenario's own";
    Some(reach(object, "metadata.namespace", &message, help))
}

fn reach(object: &Value, at: &str, message: &str, help: &'static str) -> Reach {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    Reach {
        at: at.to_owned(),
        message: format!("{kind} {name} {message}"),
        help,
    }
}

/// The string at a JSON pointer; empty if there is none.
fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The list at a JSON pointer; empty if there is none.
fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
