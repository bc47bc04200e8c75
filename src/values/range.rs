//! Value syntaxes of suite files: durations, ranges of durations, counts and shares.

use std::{fmt, time::Duration};

use thiserror::Error;

/// An invalid value. The message says what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    #[error("invalid duration '{0}': write a number and a unit, e.g. 250ms, 1.8s, 2m")]
    Duration(String),
    #[error("invalid time range '{0}': write FROM..TO, FROM.. or ..TO, e.g. 1.8s..2.6s")]
    Span(String),
    #[error("invalid count '{0}': write a number or a range such as 1..4")]
    Count(String),
    #[error("invalid share '{0}': write a percentage such as 90% or a fraction such as 1/3")]
    Share(String),
    #[error("the range '{0}' is inverted: its end is before its start")]
    Inverted(String),
}

/// Parses a duration: a decimal number and one of `us`, `ms`, `s`, `m`, `h`.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    let fail = || ValueError::Duration(text.to_owned());
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(fail)?;
    let number: f64 = text[..split].parse().map_err(|_| fail())?;
    let seconds = match &text[split..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(fail()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| fail())
}

/// A closed range of time; an absent end is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationRange {
    pub from: Duration,
    pub to: Option<Duration>,
}

impl DurationRange {
    /// Parses `1s..2s`, `1s..` or `..2s`.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let fail = || ValueError::Span(text.to_owned());
        let (from, to) = text.split_once("..").ok_or_else(fail)?;
        if from.is_empty() && to.is_empty() {
            return Err(fail());
        }
        let end = |part: &str| match part.trim() {
            "" => Ok(None),
            some => duration(some).map(Some),
        };
        let (from, to) = (end(from)?.unwrap_or_default(), end(to)?);
        if to.is_some_and(|to| to < from) {
            return Err(ValueError::Inverted(text.to_owned()));
        }
        Ok(Self { from, to })
    }

    pub fn contains(&self, value: Duration) -> bool {
        value >= self.from && self.to.is_none_or(|to| value <= to)
    }
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from.is_zero(), self.to) {
            (true, Some(to)) => write!(f, "at most {}", human(to)),
            (_, None) => write!(f, "at least {}", human(self.from)),
            (false, Some(to)) => write!(f, "{} to {}", human(self.from), human(to)),
        }
    }
}

/// A duration for people: about three digits and a unit.
pub fn human(value: Duration) -> String {
    let seconds = value.as_secs_f64();
    let (number, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let places = if number >= 100.0 { 0 } else { 2 };
    let text = format!("{number:.places$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

/// A closed range of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountRange {
    pub from: u64,
    pub to: u64,
}

impl CountRange {
    /// Parses `4`, `1..4` (both ends are included) or `1..`.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let number = |part: &str| {
            part.trim()
                .parse::<u64>()
                .map_err(|_| ValueError::Count(text.to_owned()))
        };
        let (from, to) = match text.split_once("..") {
            Some((from, "")) => (number(from)?, u64::MAX),
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(text)?, number(text)?),
        };
        if to < from {
            return Err(ValueError::Inverted(text.to_owned()));
        }
        Ok(Self { from, to })
    }

    pub fn contains(&self, value: u64) -> bool {
        (self.from..=self.to).contains(&value)
    }
}

impl fmt::Display for CountRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}", self.from)
        } else if self.to == u64::MAX {
            write!(f, "{} or more", self.from)
        } else {
            write!(f, "{} to {}", self.from, self.to)
        }
    }
}

/// Parses `90%` or `1/3` as a probability in 0..=1.
pub fn share(text: &str) -> Result<f64, ValueError> {
    let fail = || ValueError::Share(text.to_owned());
    let number = |part: &str| part.trim().parse::<f64>().map_err(|_| fail());
    let value = match (text.strip_suffix('%'), text.split_once('/')) {
        (Some(percent), _) => number(percent)? / 100.0,
        (None, Some((over, under))) => number(over)? / number(under)?,
        (None, None) => return Err(fail()),
    };
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(fail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("250ms", Some(250_000))]
    #[case("1.8s", Some(1_800_000))]
    #[case("2m", Some(120_000_000))]
    #[case("15us", Some(15))]
    #[case("15", None)]
    #[case("s", None)]
    #[case("1.2.3s", None)]
    #[case("5 s", None)]
    #[case("-1s", None)]
    fn durations(#[case] text: &str, #[case] micros: Option<u64>) {
        assert_eq!(
            duration(text).ok(),
            micros.map(Duration::from_micros),
            "{text}"
        );
    }

    #[rstest]
    #[case("1s..2s", 1500, true)]
    #[case("1s..2s", 2000, true)]
    #[case("1s..2s", 2001, false)]
    #[case("..2s", 0, true)]
    #[case("1s..", 999, false)]
    #[case("1s..", 90_000, true)]
    fn spans_are_closed(#[case] text: &str, #[case] millis: u64, #[case] inside: bool) {
        let span = DurationRange::parse(text).unwrap();
        assert_eq!(span.contains(Duration::from_millis(millis)), inside);
    }

    #[rstest]
    #[case("2s..1s", ValueError::Inverted("2s..1s".into()))]
    #[case("..", ValueError::Span("..".into()))]
    #[case("2s", ValueError::Span("2s".into()))]
    fn a_bad_span_is_refused(#[case] text: &str, #[case] error: ValueError) {
        assert_eq!(DurationRange::parse(text), Err(error));
    }

    #[rstest]
    #[case("4", Ok(CountRange { from: 4, to: 4 }))]
    #[case("1..4", Ok(CountRange { from: 1, to: 4 }))]
    #[case("4..1", Err(ValueError::Inverted("4..1".into())))]
    #[case("some", Err(ValueError::Count("some".into())))]
    fn counts(#[case] text: &str, #[case] expected: Result<CountRange, ValueError>) {
        assert_eq!(CountRange::parse(text), expected);
    }

    #[rstest]
    #[case("90%", Some(0.9))]
    #[case("1/4", Some(0.25))]
    #[case("0%", Some(0.0))]
    #[case("120%", None)]
    #[case("0.9", None)]
    #[case("1/0", None)]
    fn shares(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(share(text).ok(), expected);
    }

    #[rstest]
    #[case(1_800_000, "1.8s")]
    #[case(120_000_000, "120s")]
    #[case(250_000, "250ms")]
    #[case(12, "12us")]
    fn durations_are_short_for_people(#[case] micros: u64, #[case] text: &str) {
        assert_eq!(human(Duration::from_micros(micros)), text);
    }
}
