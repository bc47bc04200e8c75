//! `spread`: how calls are spread over pods. Each policy has a test of its own.

mod cycle;
mod even;
mod least_request;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;

use super::spec::{Around, ExpectError, Form, Mistake, Named, Sample, Sampled, Spec};
use crate::verdict::{judgement::SequentialTest, pods::World};
use cycle::{RandomOrder, RoundRobin};
use even::Even;
use least_request::LeastRequest;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spread {
    pub over: String,
    #[serde(default)]
    pub policy: SpreadPolicy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SpreadPolicy {
    /// Even shares in the long run.
    #[default]
    Even,
    /// Strict cycle on one connection.
    RoundRobin,
    /// Independent draws: neither cyclic nor starved.
    Random,
    /// A pod kept busy gets fewer than an even share.
    LeastRequest,
}

impl Spec for Spread {
    const NAME: &'static str = "spread";
    const DOC: &'static str = "Calls are spread evenly over the pods of this `app` (chi-square), or cyclically when `round-robin`.";
    const FORMS: &'static [Form] = &[
        Form::sampled(
            "`spread: {over, policy: even}`",
            "chi-square against one pod with twice the others' share",
            "791 / 962 for 3 / 5 pods",
        ),
        Form::sampled(
            "`policy: round-robin`",
            "strict turns on one connection",
            "21 / 15 / 12",
        ),
        Form::sampled(
            "`policy: random`",
            "all pods are reached, and not in strict turn",
            "as coverage",
        ),
        Form::sampled(
            "`policy: least-request`",
            "sequential test of 1/N² against 1/N for the pod where a `background` probe holds more calls than at any other, as the ledgers tell; they must last longer than the probe",
            "about 106",
        ),
    ];
    const COUNTS_ANSWERS: bool = true;
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        let over = &self.over;
        match self.policy {
            SpreadPolicy::Even => format!("even over the pods of {over}"),
            SpreadPolicy::RoundRobin => format!("the pods of {over} in strict turn"),
            SpreadPolicy::Random => format!("independent draws over the pods of {over}"),
            SpreadPolicy::LeastRequest => {
                format!("the busy pod of {over} gets less than its share")
            }
        }
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::App(&self.over)]
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if let Some(mistake) = around.excluded_by_pinned(Self::NAME) {
            return vec![mistake];
        }
        let several = around.connections > 1 || around.streams > 1;
        match self.policy {
            SpreadPolicy::RoundRobin if several => vec![Mistake::new(
                "strict turns over several connections or streams",
                "turns are kept per worker: use one connection and one stream",
            )],
            SpreadPolicy::LeastRequest if !around.background => vec![Mistake::new(
                "'least-request', but nothing keeps a pod busy",
                "add a step `background:` that holds a stream before this probe",
            )],
            _ => Vec::new(),
        }
    }

    fn test(&self, sample: &Sample<'_>) -> String {
        let Sample { cap, rates, .. } = sample;
        format!("test over at most {cap} calls, {rates}")
    }
}

impl Sampled for Spread {
    fn sequential(&self, world: &World<'_>, rates: Rates) -> Box<dyn SequentialTest> {
        let World { pods, busy } = *world;
        match self.policy {
            SpreadPolicy::Even => Box::new(Even::new(&self.over, pods, rates)),
            SpreadPolicy::RoundRobin => Box::new(RoundRobin::new(&self.over, pods, rates)),
            SpreadPolicy::Random => Box::new(RandomOrder::new(&self.over, pods, rates)),
            SpreadPolicy::LeastRequest => {
                Box::new(LeastRequest::new(&self.over, pods, busy, rates))
            }
        }
    }
}
