//! The interface of a verb of `steps:`: its syntax, its description, what it refers to, and the
//! mistakes that lint finds in it. Each file beside this one is one verb; `registry.rs` lists them.
//! Their implementations are in `run/step/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;
use statistics::Rates;

use crate::scenario::model::probe::{Override, Probe};

/// One verb: a step of a scenario.
pub trait Verb: Clone + fmt::Debug {
    /// Its key in `steps:`.
    const NAME: &'static str;
    /// Its description in the JSON Schema of suite files.
    const DOC: &'static str;
    /// Its syntax, in Markdown: the left column of the table in docs/scenario-format.md.
    const FORM: &'static str;
    /// What it does, in Markdown: the right column.
    const DOES: &'static str;

    /// What it does, for events and `explain`.
    fn describe(&self) -> String;

    /// Workloads that it names, by field.
    fn workloads(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// Probes that it names, by field.
    fn probes(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// Probe runs that it makes.
    fn runs(&self) -> Vec<Run<'_>> {
        Vec::new()
    }

    /// Matchers of a probe that must be refuted.
    fn refuted(&self) -> Option<(&str, &[String])> {
        None
    }

    /// Whether something must be refuted: it is a contrast.
    fn is_contrast(&self) -> bool {
        self.refuted().is_some_and(|(_, names)| !names.is_empty())
    }

    /// The manifest beside the scenario that it applies.
    fn file(&self) -> Option<File<'_>> {
        None
    }

    /// Mistakes in this step, given the steps before it.
    fn mistakes(&self, before: &Before, around: &Around<'_>) -> Vec<Mistake> {
        let _ = (before, around);
        Vec::new()
    }

    /// Updates the state for the steps after it.
    fn leaves(&self, before: &mut Before) {
        let _ = before;
    }

    /// Values that have a limit.
    fn limits(&self) -> Vec<Limit<'_>> {
        Vec::new()
    }
}

/// A run of a probe.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub probe: &'a str,
    /// Override that breaks something.
    pub with: Option<&'a Override>,
    /// Only these cases of the probe; all when empty.
    pub cases: &'a [String],
}

impl<'a> Run<'a> {
    /// The probe without overrides.
    pub fn of(probe: &'a str) -> Self {
        Self {
            probe,
            with: None,
            cases: &[],
        }
    }
}

/// A manifest beside the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// Field of the step that names it.
    pub field: &'static str,
    /// The part of its file name that the step gives.
    pub name: &'a str,
    pub fate: Fate,
}

/// What happens to a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The mesh accepts it, and proxies get it.
    Taken,
    /// The mesh accepts it, and a proxy rejects it.
    RefusedByProxy,
    /// The API server rejects it.
    Refused,
    /// It is rejected because its kind is unknown.
    UnknownKind,
}

/// The state before a step.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Files and Secrets that exist.
    pub applied: BTreeSet<String>,
    /// Probes that run in the background.
    pub running: BTreeSet<String>,
}

/// The scenario around a step.
#[derive(Debug, Clone)]
pub struct Around<'a> {
    pub probes: &'a BTreeMap<String, Probe>,
    pub serial: bool,
    pub rates: Rates,
}

/// A mistake with its position and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Path below the verb; empty: the verb itself.
    pub field: String,
    pub message: String,
    pub help: String,
    /// Whether the position is the value, not the key.
    pub value: bool,
}

impl Mistake {
    /// A mistake positioned at the key.
    pub fn key(field: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
            help: help.into(),
            value: false,
        }
    }

    /// A mistake positioned at the value.
    pub fn value(field: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let value = true;
        Self {
            value,
            ..Self::key(field, message, help)
        }
    }
}

/// A value of a step that has a limit ([`crate::scenario::limits`]), by field.
#[derive(Debug, Clone, Copy)]
pub enum Limit<'a> {
    /// A part of a file name.
    File(&'static str, &'a str),
    Time(&'static str, &'a str),
    Pods(&'static str, &'static str, u32),
    /// At least one, at most the limit.
    Rounds(&'static str, &'static str, u32),
    /// At most the limit.
    Turns(&'static str, &'static str, u32),
    List(&'static str, &'static str, usize),
    Script(&'static str, Option<&'a Value>),
    /// Overrides of a probe.
    With(&'static str, &'a Override, &'a str),
}
