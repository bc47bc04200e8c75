//! `answered-by`: the workload that answers every call.

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Exact, ExpectError, Form, Named, Spec};
use crate::{
    values::status,
    verdict::{
        answer,
        calls::Calls,
        judgement::{Judgement, every},
    },
};

/// The name of the workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredBy(pub String);

impl Spec for AnsweredBy {
    const NAME: &'static str = "answered-by";
    const DOC: &'static str = "The workload that answers every call.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`answered-by: WORKLOAD`",
        "this workload answers every call",
    )];
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        Ok(Self(written.clone()))
    }

    fn expected(&self) -> String {
        format!("{} answers", self.0)
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Workload(&self.0)]
    }
}

impl Exact for AnsweredBy {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every(&calls.kept(), answered, |call| {
            answer::workload(call) == Some(self.0.as_str())
        })
    }

    fn is_refuted_by(&self, call: &Observation) -> Option<bool> {
        let another = answer::workload(call).is_some_and(|name| name != self.0);
        Some(call.status.code == 0 && another)
    }
}

fn answered(call: &Observation) -> String {
    answer::workload(call).map_or_else(
        || format!("no application ({})", status::name(call.status.code)),
        str::to_owned,
    )
}
