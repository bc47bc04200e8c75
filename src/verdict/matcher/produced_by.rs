//! `produced-by`: who made the status of each call ([`producer`]).

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, every},
    outcome::CheckResult,
    producer::{self, Producer},
};

/// Who it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducedBy(pub Producer);

impl Spec for ProducedBy {
    const NAME: &'static str = "produced-by";
    const DOC: &'static str = "Who produced the status of every call.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`produced-by`",
        "`application`, `inbound-proxy` (the server's sidecar; also where the client has none and calls straight), `outbound-proxy` (the client's sidecar or the gateway), `proxy` (one of the two), `client`",
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
            "proxies and clients only make up errors: name one, or drop this",
        )]
    }
}

impl Exact for ProducedBy {
    /// Where it is not known which proxy it was, a claim of one is open unless another call refutes
    /// it.
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let (who, way) = (self.0, &calls.seen.way);
        let by = |call: &Observation| calls.producer(call);
        let text = |call: &Observation| match way.is_unknown(call) {
            true => {
                "some proxy (Envoy's headers are hidden or mean either, and its log does not tell)"
                    .to_owned()
            }
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
