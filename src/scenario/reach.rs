//! What a manifest does to others: objects that change more than the scenario's own namespace and
//! host.
//!
//! Pure, on objects as their author wrote them, placeholders and all: `${namespace}` and `${host}`
//! are what belongs to one scenario alone. What is found here runs by itself (`plan`), and lint
//! names the place and the way out.
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

/// The mesh's own namespace, which is its root namespace too: policies in it hold for every
/// namespace.
const ROOT: &str = "istio-system";

/// One way in which an object reaches others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Path of the value inside of the object, as [`yaml::Places`] has it:
    /// `spec.servers[0].hosts[0]`.
    pub at: String,
    /// What it reaches: `Gateway my-gateway takes every host at the gateway that all share`.
    pub words: String,
    /// How to keep it to oneself.
    pub help: &'static str,
}

/// A [`Reach`] with the file and the document that it stands in.
#[derive(Debug, Clone)]
pub struct LocatedReach {
    pub file: SiblingFile,
    /// Objects of the file before this one.
    pub document: usize,
    pub reach: Reach,
}

/// How an object reaches others than the scenario that applies it; empty for what is its own.
pub fn reaches(object: &Value) -> Vec<Reach> {
    let kind = text(object, "/kind");
    if is_cluster_scoped(text(object, "/apiVersion"), kind) {
        let own = text(object, "/metadata/name").contains("${namespace}");
        let reach = || {
            let words = "is of the whole cluster";
            let help =
                "leave it out, or put `${namespace}` into its name if nothing else depends on it";
            self::reach(object, "metadata.name", words, help)
        };
        return if own { Vec::new() } else { vec![reach()] };
    }
    let mut all: Vec<Reach> = elsewhere(object).into_iter().collect();
    all.extend(kinds::reaches(object));
    all
}

/// Every object that the scenario's steps apply, and every one of its workloads' files, that
/// reaches others. Files that cannot be read have none: lint says what is wrong with them.
pub fn find(loaded: &LoadedScenario) -> Vec<LocatedReach> {
    let files = loaded.scenario.steps.iter().filter_map(Step::file);
    let applied = files.filter(|file| matches!(file.fate, Fate::Taken | Fate::RefusedByProxy));
    let mut names: Vec<&str> = applied.map(|file| file.name).collect();
    names.sort();
    names.dedup();
    let applied = names
        .into_iter()
        .filter_map(|name| loaded.config(name).ok()?);
    let workloads = loaded.scenario.workloads.iter();
    let workloads = workloads.filter_map(|workload| loaded.workload(&workload.template).ok()?);
    applied.chain(workloads).flat_map(in_file).collect()
}

/// Why a scenario must run by itself; `None` when it may run beside others.
pub fn serial(loaded: &LoadedScenario) -> Option<String> {
    if loaded.scenario.serial {
        return Some("it says `serial`".to_owned());
    }
    find(loaded)
        .into_iter()
        .next()
        .map(|found| found.reach.words)
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

/// The object stands in a namespace that is not the scenario's.
fn elsewhere(object: &Value) -> Option<Reach> {
    let namespace = text(object, "/metadata/namespace");
    if namespace.is_empty() || hosts::is_own_namespace(namespace) {
        return None;
    }
    let words = if namespace == ROOT {
        "stands in the mesh's root namespace and holds for every namespace".to_owned()
    } else {
        format!("stands in the namespace {namespace}, which is not the scenario's")
    };
    let help = "leave `namespace:` out: the object then goes into the scenario's own";
    Some(reach(object, "metadata.namespace", &words, help))
}

fn reach(object: &Value, at: &str, words: &str, help: &'static str) -> Reach {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    Reach {
        at: at.to_owned(),
        words: format!("{kind} {name} {words}"),
        help,
    }
}

/// The text at a JSON pointer; empty when there is none.
fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The list at a JSON pointer; empty when there is none.
fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
