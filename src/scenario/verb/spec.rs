//! What a verb of `steps:` is: how an author writes it, what it does in words, what it names, and
//! the mistakes one can make with it. Each file beside this one is one verb; `registry.rs` lists
//! them. What it does to a mesh is in `run/step/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;
use statistics::Rates;

use crate::scenario::model::probe::{Override, Probe};

/// One verb: a step of a scenario. Reading order is time order.
pub trait Verb: Clone + fmt::Debug {
    /// The word.
    const NAME: &'static str;
    /// Its description in the JSON Schema of suite files.
    const DOC: &'static str;
    /// How it is written, in Markdown: the left column of the table in docs/scenario-format.md.
    const FORM: &'static str;
    /// What it does, in Markdown: the right column.
    const DOES: &'static str;

    /// What it does, as events and `explain` say it.
    fn describe(&self) -> String;

    /// Workloads that it names, by field.
    fn workloads(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// Probes that it names, by field.
    fn probes(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// Runs of probes that it makes.
    fn runs(&self) -> Vec<Run<'_>> {
        Vec::new()
    }

    /// Matchers of a probe that must be refuted.
    fn refuted(&self) -> Option<(&str, &[String])> {
        None
    }

    /// Something must be refuted: it is a contrast.
    fn is_contrast(&self) -> bool {
        self.refuted().is_some_and(|(_, names)| !names.is_empty())
    }

    /// The manifest beside the scenario that it writes.
    fn file(&self) -> Option<File<'_>> {
        None
    }

    /// What is wrong with it after what came before.
    fn mistakes(&self, before: &Before, around: &Around<'_>) -> Vec<Mistake> {
        let _ = (before, around);
        Vec::new()
    }

    /// How things stand after it.
    fn leaves(&self, before: &mut Before) {
        let _ = before;
    }

    /// What it asks for that has a limit.
    fn limits(&self) -> Vec<Limit<'_>> {
        Vec::new()
    }
}

/// A run of a probe.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub probe: &'a str,
    /// What is broken in it.
    pub with: Option<&'a Override>,
    /// Only these rows of the probe's table; all when empty.
    pub cases: &'a [String],
}

impl<'a> Run<'a> {
    /// The probe as it is.
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
    /// Where the step names it.
    pub field: &'static str,
    /// The part of its name that the step says.
    pub name: &'a str,
    pub fate: Fate,
}

/// What becomes of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The mesh takes it, and proxies get it.
    Taken,
    /// The mesh takes it, and a proxy refuses it.
    RefusedByProxy,
    /// It is refused at the API server.
    Refused,
    /// It is refused because its kind is not known.
    UnknownKind,
}

/// How things stand before a step.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Files and Secrets that are there.
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

/// A mistake, where it stands, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Below the verb; empty: the verb itself.
    pub field: String,
    pub message: String,
    pub help: String,
    /// The value is wrong, not the key.
    pub value: bool,
}

impl Mistake {
    /// The key is where it is wrong.
    pub fn key(field: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
            help: help.into(),
            value: false,
        }
    }

    /// The value is what is wrong.
    pub fn value(field: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let value = true;
        Self {
            value,
            ..Self::key(field, message, help)
        }
    }
}

/// Something that a step asks for and that has a limit ([`crate::scenario::limits`]), by field.
#[derive(Debug, Clone, Copy)]
pub enum Limit<'a> {
    /// A part of a file's name.
    File(&'static str, &'a str),
    Time(&'static str, &'a str),
    Pods(&'static str, &'static str, u32),
    /// At least one, and not too many.
    Rounds(&'static str, &'static str, u32),
    /// Not too many.
    Turns(&'static str, &'static str, u32),
    List(&'static str, &'static str, usize),
    Script(&'static str, Option<&'a Value>),
    /// What differs from a probe.
    With(&'static str, &'a Override, &'a str),
}
