//! `response-flag`: Envoy's response flag for each call in the access log of one proxy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Exact, ExpectError, Form, Named, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, every},
    outcome::CheckResult,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResponseFlag {
    /// The workload whose sidecar's log is read, or `gateway`.
    pub at: String,
    /// Envoy's short flag: `NR`, `UH`, `UF`, `UO`, …; `-` for none.
    pub flag: String,
}

impl Spec for ResponseFlag {
    const NAME: &'static str = "response-flag";
    const DOC: &'static str = "Envoy response flag of every call in the access log of a proxy.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`response-flag: {at, flag}`",
        "every call has this Envoy response flag in the access log of a workload's sidecar or of `gateway`; `-`: no flag",
    )];
    const LOOKS_AT: &'static str = "from the access log";
    const EVERY_CALL: bool = true;
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        format!("{} in the access log of {}", self.flag, self.at)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Proxy(&self.at)]
    }
}

impl Exact for ResponseFlag {
    /// Envoy joins several flags with commas; the expected one must be among them.
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let Self { at, flag } = self;
        let logged = |call: &Observation| calls.seen.flags.get(&call.call);
        let kept = calls.kept();
        let unlogged = kept.iter().filter(|call| logged(call).is_none()).count();
        let text = |call: &Observation| {
            logged(call)
                .cloned()
                .unwrap_or_else(|| "not logged".to_owned())
        };
        let good = |call: &Observation| {
            logged(call).is_some_and(|flags| flags.split(',').any(|one| one.trim() == flag))
        };
        let mut judgement = every(&kept, text, good);
        if unlogged > 0 {
            judgement.result = CheckResult::Undecided;
            judgement.actual +=
                &format!("; {unlogged} calls are missing from the access log of {at}");
        }
        judgement
    }
}
