//! What a matcher is: how an author writes it, what it means, the mistakes one can make with it,
//! and how a run is judged by it. Each file beside this one is one matcher; `registry.rs` lists
//! them.

use std::{collections::BTreeMap, fmt};

use statistics::Rates;

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
    /// The field.
    const NAME: &'static str;
    /// Its description in the JSON Schema of suite files.
    const DOC: &'static str;
    /// Its rows in docs/scenario-format.md.
    const FORMS: &'static [Form];
    /// Where an exact matcher looks, for `explain`.
    const LOOKS_AT: &'static str = "every call";
    /// It is a claim about every call, so that a pass says how rare a fault would have been seen.
    const EVERY_CALL: bool = false;
    /// It counts answers, so that `status` has to stand beside it: failed calls would go unnoticed.
    const COUNTS_ANSWERS: bool = false;

    /// As it stands in a suite file.
    type Written;

    /// Reads what was written.
    ///
    /// # Errors
    /// A value that means nothing.
    fn read(written: &Self::Written) -> Result<Self, ExpectError>;

    /// The expectation in words, as reports show it.
    fn expected(&self) -> String;

    /// Replaces the placeholders of its texts.
    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        let _ = expand;
    }

    /// Workloads that it names.
    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// What it excludes, or what nothing can break, where it stands.
    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        let _ = around;
        Vec::new()
    }

    /// Its answer rests on chance, with declared error rates.
    fn declares_rates(&self) -> bool {
        Self::COUNTS_ANSWERS
    }

    /// A bound on a time: what stands still as long may be to blame for what is seen
    /// ([`crate::verdict::guard`]).
    fn bound(&self) -> Option<DurationRange> {
        None
    }

    /// It expects what the client itself says: that a call never left it is no doubt about the
    /// mesh.
    fn is_about_the_client(&self) -> bool {
        false
    }

    /// How it is decided, for `explain`.
    fn test(&self, sample: &Sample<'_>) -> String {
        let _ = sample;
        format!("exact, {}", Self::LOOKS_AT)
    }
}

/// A matcher that looks at a finished run.
pub trait Exact: Spec {
    fn judge(&self, calls: &Calls<'_>, rates: Rates) -> Judgement;
}

/// A matcher that a sequential test decides while the calls run: the same test, over the same calls
/// in the same order, gives the verdict.
pub trait Sampled: Spec {
    fn sequential(&self, world: &World<'_>, rates: Rates) -> Box<dyn SequentialTest>;
}

/// One row of the documentation, in Markdown.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// As it is written.
    pub form: &'static str,
    /// When it holds; of a statistical one, by which test.
    pub holds: &'static str,
    /// Calls that a statistical one needs; empty for an exact one.
    pub calls: &'static str,
}

impl Form {
    /// Of an exact matcher.
    pub const fn exact(form: &'static str, holds: &'static str) -> Self {
        let calls = "";
        Self { form, holds, calls }
    }

    /// Of a statistical one.
    pub const fn sampled(form: &'static str, holds: &'static str, calls: &'static str) -> Self {
        Self { form, holds, calls }
    }
}

/// A workload that a matcher names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    Workload(&'a str),
    /// A workload, or an `app` of several.
    App(&'a str),
    /// A workload whose proxy is looked at, or `gateway`.
    Proxy(&'a str),
}

/// What stands around a matcher: its probe, the matchers beside it, and the scenario.
#[derive(Debug, Clone)]
pub struct Around<'a> {
    /// Code of `status`.
    pub status: Option<u32>,
    /// `pinned: true` stands beside it.
    pub pinned: bool,
    /// A statistical matcher stands beside it.
    pub statistical: bool,
    pub connections: u32,
    pub streams: u32,
    pub reconnect: bool,
    pub times: Option<u64>,
    /// The caller speaks TLS.
    pub tls: bool,
    /// A page could make these calls.
    pub page: bool,
    pub per_call: &'a BTreeMap<String, u64>,
    /// Names of the certificates that steps make.
    pub certificates: Vec<&'a str>,
    /// Some probe runs in the background.
    pub background: bool,
    pub rates: Rates,
}

impl Around<'_> {
    /// Every call has to be answered OK.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// A claim about several pods beside one that all calls go to one pod.
    pub fn excluded_by_pinned(&self, name: &str) -> Option<Mistake> {
        (self.pinned && self.connections == 1).then(|| {
            Mistake::new(
                format!("'pinned' and '{name}' on one connection exclude each other"),
                "drop one, or make two probes",
            )
        })
    }
}

/// A mistake, and the way out.
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

/// What `explain` knows of the calls of a run.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Calls at most.
    pub cap: u64,
    pub per_call: &'a BTreeMap<String, u64>,
    pub rates: Rates,
}

/// A value of an expectation that cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExpectError {
    #[error("{field}: {error}")]
    Value {
        field: &'static str,
        error: ValueError,
    },
    #[error("{message}")]
    Words {
        field: &'static str,
        message: String,
    },
    /// A word that is none of those that are known.
    #[error("{message}")]
    Unknown {
        field: &'static str,
        message: String,
        word: String,
        known: &'static [&'static str],
    },
}

impl ExpectError {
    /// The field of `expect:` that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Value { field, .. } | Self::Words { field, .. } | Self::Unknown { field, .. } => {
                field
            }
        }
    }

    /// A value in one of the small syntaxes, as field `field`.
    pub fn value(field: &'static str) -> impl FnOnce(ValueError) -> Self {
        move |error| Self::Value { field, error }
    }
}
