//! `detects`: how small a share of calls that break an exact matcher is still seen.
//!
//! An exact matcher looks at every call, and says "never" of as many as there were. Of n calls that
//! each break it with probability p, none does with probability (1-p)^n: 60 calls miss one in a
//! hundred in 55 of 100 runs. So the sample is chosen by the share that must not be missed: n = ln
//! beta / ln (1-p).

use statistics::{Rates, calls_to_see, seen_in};

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::{
    values::range,
    verdict::{calls::Calls, judgement::Judgement, outcome::CheckResult, words::percent},
};

/// Share of calls that must not break the others unseen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detects(pub f64);

impl Spec for Detects {
    const NAME: &'static str = "detects";
    const DOC: &'static str = "A share of the calls (`1%`) that breaks one of the exact matchers is missed at the rate beta at most: sets the number of calls.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`detects: 1%`",
        "there were enough calls: a share of so many that breaks one of the exact matchers is missed at the rate beta at most. Sets `times` (1375 for 1 %, 270 for 5 %)",
    )];
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        let share = range::share(written).map_err(ExpectError::value(Self::NAME))?;
        Ok(Self(share))
    }

    fn expected(&self) -> String {
        format!("{} of the calls would be seen", percent(self.0))
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if self.0 <= 0.0 || self.0 >= 1.0 {
            return vec![Mistake::new(
                "no number of calls tells such a share",
                "take a share between, such as 1%",
            )];
        }
        if around.statistical {
            return vec![Mistake::new(
                "'detects' beside a statistical matcher",
                "make two probes: a statistical one stops as soon as it can tell",
            )];
        }
        let needed = calls_to_see(self.0, around.rates.beta);
        let few = around.times.filter(|times| *times < needed);
        let told = few.map(|_| {
            let message = format!("too few calls for 'detects': it needs {needed}");
            Mistake::new(message, "drop `times`, or make it larger")
        });
        told.into_iter().collect()
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
                "{samples} calls: {} of them goes unseen in {missed:.1e} of the runs",
                percent(share)
            ),
            samples,
            method: format!("(1-p)^n, beta {:e}", rates.beta),
        }
    }
}
