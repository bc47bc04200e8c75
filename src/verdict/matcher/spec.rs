//! The interface of a matcher: how an author writes it, what it means, which mistakes `lint`
//! reports, and how a run is judged. Each file next to this one is a matcher; `registry.rs` lists
//! them.

use std::{collections::BTreeMap, fmt};

use statistics::Rates;
use testbed::control::Observation;

use crate::{
    values::range::{DurationRange, ValueError},
    verdict::{
        calls::Calls,
        judgement::{Judgement, SequentialTest},
        pods::World,
    },
};

/// One matcher: a field of `expect:`.
pub trait Spec: Clone + fmt::Debug + PartialEq + Sized {
    /// The name of the field.
    const NAME: &'static str;
    /// Its description in the JSON Schema of suite files.
    const DOC: &'static str;
    /// Its rows in docs/scenario-format.md.
    const FORMS: &'static [Form];
    /// Where an exact matcher looks, for `explain`.
    const LOOKS_AT: &'static str = "every call";
    /// It is a claim about every call, so that a pass reports how rare a fault may have been
    /// missed.
    const EVERY_CALL: bool = false;
    /// It counts answers, so that it needs `status` next to it: failed calls would go unnoticed.
    const COUNTS_ANSWERS: bool = false;

    /// Its form in a suite file.
    type Written;

    /// Parses the form in a suite file.
    ///
    /// # Errors
    /// An invalid value.
    fn read(written: &Self::Written) -> Result<Self, ExpectError>;

    /// The expectation as reports show it.
    fn expected(&self) -> String;

    /// Replaces placeholders in its texts.
    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        let _ = expand;
    }

    /// The workloads that it names.
    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// Mistakes for `lint`: combinations that exclude each other, and claims that cannot fail.
    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        let _ = around;
        Vec::new()
    }

    /// Whether it is decided statistically, with declared error rates.
    fn declares_rates(&self) -> bool {
        Self::COUNTS_ANSWERS
    }

    /// A bound on a time: a stall of this length may explain what is observed
    /// ([`crate::verdict::guard`]).
    fn bound(&self) -> Option<DurationRange> {
        None
    }

    /// Whether it is about what the client itself reports. A call that never left the client is
    /// then no reason for doubt.
    fn is_about_the_client(&self) -> bool {
        false
    }

    /// Describes how it is decided, for `explain`.
    fn test(&self, sample: &Sample<'_>) -> String {
        let _ = sample;
        format!("exact, {}", Self::LOOKS_AT)
    }
}

/// A matcher that judges a finished run.
pub trait Exact: Spec {
    fn judge(&self, calls: &Calls<'_>, rates: Rates) -> Judgement;

    /// Whether this call alone refutes it, whatever the others are. `None` if that cannot be known
    /// while calls run: servers' ledgers and proxies' logs are read afterwards.
    fn is_refuted_by(&self, call: &Observation) -> Option<bool> {
        let _ = call;
        None
    }
}

/// A matcher that a sequential test decides while the calls run. The verdict is that of the same
/// test with the same calls in the same order.
pub trait Sampled: Spec {
    fn sequential(&self, world: &World<'_>, rates: Rates) -> Box<dyn SequentialTest>;
}

/// One row of the reference documentation, in Markdown.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// How it is written.
    pub form: &'static str,
    /// When it holds; for a statistical matcher, by which test.
    pub holds: &'static str,
    /// The number of calls that a statistical matcher needs; empty for an exact one.
    pub calls: &'static str,
}

impl Form {
    /// The row of an exact matcher.
    pub const fn exact(form: &'static str, holds: &'static str) -> Self {
        let calls = "";
        Self { form, holds, calls }
    }

    /// The row of a statistical matcher.
    pub const fn sampled(form: &'static str, holds: &'static str, calls: &'static str) -> Self {
        Self { form, holds, calls }
    }
}

/// A workload that a matcher names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    Workload(&'a str),
    /// A workload, or an `app` of several workloads.
    App(&'a str),
    /// A workload whose proxy is inspected, or `gateway`.
    Proxy(&'a str),
}

/// The context of a matcher: its probe, the other matchers, and the scenario.
#[derive(Debug, Clone)]
pub struct Around<'a> {
    /// The code of `status`.
    pub status: Option<u32>,
    /// The expectation has `pinned: true`.
    pub pinned: bool,
    /// The expectation has a statistical matcher.
    pub statistical: bool,
    pub connections: u32,
    pub streams: u32,
    pub reconnect: bool,
    pub times: Option<u64>,
    /// The caller uses TLS.
    pub tls: bool,
    /// A page could make these calls.
    pub page: bool,
    pub per_call: &'a BTreeMap<String, u64>,
    /// The names of the certificates that steps create.
    pub certificates: Vec<&'a str>,
    /// A probe runs in the background.
    pub background: bool,
    pub rates: Rates,
}

impl Around<'_> {
    /// Whether every call must end with OK.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// The mistake of a claim about several pods next to the claim that all calls go to one pod.
    pub fn excluded_by_pinned(&self, name: &str) -> Option<Mistake> {
        (self.pinned && self.connections == 1).then(|| {
            Mistake::new(
                format!("'pinned' and '{name}' on one connection exclude each other"),
                "remove one, or write two probes",
            )
        })
    }
}

/// A mistake in a scenario, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub message: String,
    pub help: String,
}

impl Mistake {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        let (message, help) = (message.into(), help.into());
        Self { message, help }
    }
}

/// What `explain` knows about the calls of a run.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The maximum number of calls.
    pub cap: u64,
    pub per_call: &'a BTreeMap<String, u64>,
    pub rates: Rates,
}

/// An error in a value of an expectation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExpectError {
    #[error("{field}: {error}")]
    Value {
        field: &'static str,
        error: ValueError,
    },
    #[error("{message}")]
    Text {
        field: &'static str,
        message: String,
    },
    /// An unknown name.
    #[error("{message}")]
    Unknown {
        field: &'static str,
        message: String,
        word: String,
        known: &'static [&'static str],
    },
}

impl ExpectError {
    /// The field of `expect:` with the invalid value.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Value { field, .. } | Self::Text { field, .. } | Self::Unknown { field, .. } => {
                field
            }
        }
    }

    /// A word that must be one of `known`; `otherwise` says what may be written.
    pub fn one_of(
        field: &'static str,
        word: &str,
        known: &[&str],
        otherwise: impl FnOnce() -> String,
    ) -> Result<String, Self> {
        if known.contains(&word) {
            return Ok(word.to_owned());
        }
        let message = otherwise();
        Err(Self::Text { field, message })
    }

    /// Turns the error of a value into that of field `field`.
    pub fn value(field: &'static str) -> impl FnOnce(ValueError) -> Self {
        move |error| Self::Value { field, error }
    }
}
