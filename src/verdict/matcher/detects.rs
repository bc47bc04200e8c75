//! `detects`: the smallest share of faulty calls that the exact matchers must detect.
//!
//! An exact matcher looks at every call, but a run has a limited number of them. If each call
//! violates it with probability p, none of n calls does with probability (1-p)^n: 60 calls miss a
//! fault in one of a hundred calls in 55 of 100 runs. So the sample size follows from the share
//! that must not be missed: n = ln beta / ln (1-p).

use statistics::{Rates, calls_to_see, seen_in};

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::{
    values::range,
    verdict::{calls::Calls, judgement::Judgement, outcome::CheckResult, text::percent},
};

/// The share of faulty calls that must not be missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detects(pub f64);

impl Spec for Detects {
    const NAME: &'static str = "detects";
    const DOC: &'static str = "Sets the number of calls so that a fault in this share of them (`1%`), which violates one of the exact matchers, is missed with probability beta at most.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`detects: 1%`",
        "there were enough calls: if this share of them violates one of the exact matchers, this is missed with probability beta at most. Sets `times` (1375 for 1 %, 270 for 5 %)",
    )];
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        let share = range::share(written).map_err(ExpectError::value(Self::NAME))?;
        Ok(Self(share))
    }

    fn expected(&self) -> String {
        format!(
            "enough calls to detect a fault in {} of them",
            percent(self.0)
        )
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if self.0 <= 0.0 || self.0 >= 1.0 {
            return vec![Mistake::new(
                "no number of calls detects this share",
                "write a share between 0 % and 100 %, such as 1%",
            )];
        }
        if around.statistical {
            return vec![Mistake::new(
                "'detects' next to a statistical matcher",
                "write two probes: one with a statistical matcher stops as soon as that has decided",
            )];
        }
        let needed = calls_to_see(self.0, around.rates.beta);
        let few = around.times.filter(|times| *times < needed);
        let reported = few.map(|_| {
            let message = format!("too few calls for 'detects': it needs {needed}");
            Mistake::new(message, "remove `times`, or increase it")
        });
        reported.into_iter().collect()
    }
}

impl Exact for Detects {
    fn judge(&self, calls: &Calls<'_>, rates: Rates) -> Judgement {
        let share = self.0;
        let samples = calls.kept().len() as u64;
        let result = match samples >= calls_to_see(share, rates.beta) {
            true => CheckResult::Holds,
            false => CheckResult::Undecided,
        };
        let missed = 1.0 - seen_in(samples, share);
        Judgement {
            result,
            actual: format!(
                "{samples} calls: a fault in {} of them is missed with probability {missed:.1e}",
                percent(share)
            ),
            samples,
            method: format!("(1-p)^n, beta {:e}", rates.beta),
        }
    }
}
