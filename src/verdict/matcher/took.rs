//! `took`: the duration of each call.

use std::time::Duration;

use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::{
    values::range::{DurationRange, human},
    verdict::{
        calls::Calls,
        judgement::{Judgement, exact},
        outcome::CheckResult,
        tally::Tally,
    },
};

/// The time from sending to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took(pub DurationRange);

impl Spec for Took {
    const NAME: &'static str = "took";
    const DOC: &'static str = "Time from sending to the end of each call, e.g. `1.8s..2.6s`; either bound may be left out.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`took: 1.8s..2.6s`",
        "each call took this long from sending to its end; either bound may be left out",
    )];
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        let span = DurationRange::parse(written).map_err(ExpectError::value(Self::NAME))?;
        Ok(Self(span))
    }

    fn expected(&self) -> String {
        self.0.to_string()
    }

    fn bound(&self) -> Option<DurationRange> {
        Some(self.0)
    }
}

impl Exact for Took {
    /// Times differ too much for a tally, so `actual` has the shortest and the longest. A call that
    /// ended too late is no evidence against the mesh if the caller or the machine stalled that
    /// long. If this is true for all late calls, the check is undecided.
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let (span, calls, stalls) = (self.0, calls.kept(), &calls.seen.stalls);
        let time =
            |call: &Observation| Duration::from_micros(call.end_us.saturating_sub(call.sent_us));
        let times: Vec<Duration> = calls.iter().map(|call| time(call)).collect();
        let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) else {
            return exact(CheckResult::Undecided, Tally::default());
        };
        let outside = calls.iter().filter(|call| !span.contains(time(call)));
        let excuse = |call: &&&Observation| {
            let excess = time(call).checked_sub(span.to?)?;
            stalls.excuse(call, excess)
        };
        let excuses: Vec<_> = outside.map(|call| excuse(&call)).collect();
        let mut actual = if times.len() == 1 {
            human(*least)
        } else {
            format!("{} to {}", human(*least), human(*most))
        };
        if !excuses.is_empty() {
            actual += &format!(
                "; {} of {} calls outside the range",
                excuses.len(),
                times.len()
            );
        }
        let result = if excuses.is_empty() {
            CheckResult::Holds
        } else if excuses.iter().any(Option::is_none) {
            CheckResult::Refuted
        } else {
            let longest = excuses.into_iter().flatten().max();
            let message = longest.map(|longest| format!(", but {longest} meanwhile"));
            actual += &message.unwrap_or_default();
            CheckResult::Undecided
        };
        Judgement {
            result,
            actual,
            samples: times.len() as u64,
            method: String::new(),
        }
    }
}
