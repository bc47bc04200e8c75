//! `spread`: how calls are spread over pods. Each policy has its own test.

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
    /// Strict rotation on one connection.
    RoundRobin,
    /// Independent draws: no strict rotation, and no pod is starved.
    Random,
    /// A pod that is kept busy gets less than an even share.
    LeastRequest,
}

impl Spec for Spread {
    const NAME: &'static str = "spread";
    const DOC: &'static str =
        "How calls are spread over the pods of this `app`: evenly, or as `policy` says.";
    const FORMS: &'static [Form] = &[
        Form::sampled(
            "`spread: {over, policy: even}`",
            "calls are spread evenly over the pods: exact binomial tests of the largest and the smallest count, against one pod with twice the share of each other",
            "841 / 1070 for 3 / 5 pods",
        ),
        Form::sampled(
            "`policy: round-robin`",
            "the pods answer in strict rotation on one connection",
            "21 / 15 / 12 for 2 / 3 / 5 pods",
        ),
        Form::sampled(
            "`policy: random`",
            "every pod answers, and not in strict rotation",
            "as `reaches-all`",
        ),
        Form::sampled(
            "`policy: least-request`",
            "the busiest of N pods gets fewer calls: sequential probability ratio test of 1/N² against 1/N. It is the pod at which a `background` probe holds the most calls according to the ledgers; these must last longer than the probe",
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
            SpreadPolicy::Even => format!("calls spread evenly over the pods of {over}"),
            SpreadPolicy::RoundRobin => format!("the pods of {over} answer in strict rotation"),
            SpreadPolicy::Random => format!("each call draws a pod of {over} independently"),
            SpreadPolicy::LeastRequest => {
                format!("the busy pod of {over} gets less than an even share")
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
                "'round-robin' over several connections or streams",
                "use one connection and one stream: each worker of Envoy has its own rotation",
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
