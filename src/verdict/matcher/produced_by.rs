//! `produced-by`: the component that produced the status of each call ([`producer`]).

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, every},
    outcome::CheckResult,
    producer::{self, Producer},
};

/// The expected producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducedBy(pub Producer);

impl Spec for ProducedBy {
    const NAME: &'static str = "produced-by";
    const DOC: &'static str = "Which component produced the status of every call.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`produced-by: PRODUCER`",
        "this component produced the status of every call: `application`, `inbound-proxy` (the server's sidecar, also if it is the only proxy), `outbound-proxy` (the client's sidecar or the gateway), `proxy` (either of the two), `client`",
    )];
    const EVERY_CALL: bool = true;
    type Written = Producer;

    fn read(written: &Producer) -> Result<Self, ExpectError> {
        Ok(Self(*written))
    }

    fn expected(&self) -> String {
        producer::name(self.0).to_owned()
    }

    fn is_about_the_client(&self) -> bool {
        self.0 == Producer::Client
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if !around.ok() || self.0 == Producer::Application {
            return Vec::new();
        }
        vec![Mistake::new(
            "status OK that no application produced",
            "expect an error status, or remove `produced-by`: proxies and clients produce only errors",
        )]
    }
}

impl Exact for ProducedBy {
    /// If it is not known which proxy produced a status, a claim about one of them is undecided,
    /// unless another call refutes it.
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let (who, way) = (self.0, &calls.seen.way);
        let by = |call: &Observation| calls.producer(call);
        let text = |call: &Observation| match way.is_unknown(call) {
            true => "some proxy (Envoy's headers do not say which one, and neither does its log)"
                .to_owned(),
            false => producer::name(by(call)).to_owned(),
        };
        let kept = calls.kept();
        let sides = [Producer::OutboundProxy, Producer::InboundProxy];
        let open = |call: &Observation| way.is_unknown(call) && sides.contains(&who);
        let good = |call: &Observation| open(call) || producer::matches(who, by(call));
        let mut judgement = every(&kept, text, good);
        if judgement.result == CheckResult::Holds && kept.iter().any(|call| open(call)) {
            judgement.result = CheckResult::Undecided;
        }
        judgement
    }
}
