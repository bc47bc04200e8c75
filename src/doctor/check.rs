//! One requirement of a target, and all of them together.

use std::collections::BTreeSet;

use serde::Serialize;

use super::text;
use crate::{exit::Exit, output::Palette, targets::TargetKind};

/// The state of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    Ok,
    /// The target starts without it, but with limitations.
    Advice,
    /// The target does not start without it.
    Missing,
}

/// One requirement of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorCheck {
    pub name: String,
    pub state: CheckState,
    /// What was found: a version, a number, a path, or the text of an error.
    pub found: String,
    /// What it is needed for.
    pub why: &'static str,
    /// The remedy; absent if nothing has to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The Debian package that provides it, if that is the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<&'static str>,
}

/// A check without a result: its name and purpose.
#[derive(Debug, Clone)]
pub(super) struct CheckBuilder {
    name: String,
    why: &'static str,
}

impl CheckBuilder {
    pub fn new(name: impl Into<String>, why: &'static str) -> Self {
        let name = name.into();
        Self { name, why }
    }

    pub fn ok(self, found: impl Into<String>) -> DoctorCheck {
        self.judged(CheckState::Ok, found.into(), None, None)
    }

    pub fn missing(self, found: impl Into<String>, remedy: impl Into<String>) -> DoctorCheck {
        self.judged(CheckState::Missing, found.into(), Some(remedy.into()), None)
    }

    pub fn advice(self, found: impl Into<String>, remedy: impl Into<String>) -> DoctorCheck {
        self.judged(CheckState::Advice, found.into(), Some(remedy.into()), None)
    }

    /// Missing or recommended, and provided by a Debian package.
    pub fn package(
        self,
        state: CheckState,
        found: impl Into<String>,
        package: &'static str,
    ) -> DoctorCheck {
        let remedy = format!("as root: apt-get install {package}");
        self.judged(state, found.into(), Some(remedy), Some(package))
    }

    fn judged(
        self,
        state: CheckState,
        found: String,
        remedy: Option<String>,
        package: Option<&'static str>,
    ) -> DoctorCheck {
        DoctorCheck {
            name: self.name,
            state,
            found,
            why: self.why,
            remedy,
            package,
        }
    }
}

/// How much of a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Only what is missing or advised.
    Few,
    Usual,
    /// Also the purpose of the checks that passed.
    All,
}

/// All checks for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The target as the command line names it.
    pub target: &'static str,
    /// Nothing is missing.
    pub ready: bool,
    pub checks: Vec<DoctorCheck>,
}

impl Report {
    pub fn new(target: TargetKind, checks: Vec<DoctorCheck>) -> Self {
        Self {
            target: target.name(),
            ready: checks
                .iter()
                .all(|check| check.state != CheckState::Missing),
            checks,
        }
    }

    /// 0 when the target can start, else 3. Advice changes nothing.
    pub fn exit(&self) -> Exit {
        match self.ready {
            true => Exit::Ok,
            false => Exit::Error,
        }
    }

    pub fn count(&self, state: CheckState) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.state == state).count()
    }

    /// Debian packages of everything that is missing, in order.
    pub fn packages(&self) -> BTreeSet<&'static str> {
        let missing = self
            .checks
            .iter()
            .filter(|check| check.state == CheckState::Missing);
        missing.filter_map(|check| check.package).collect()
    }

    /// The report as text.
    pub fn text(&self, palette: Palette, message: Verbosity) -> String {
        text::render(self, palette, message)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn about() -> CheckBuilder {
        CheckBuilder::new("thing", "nothing works without it")
    }

    #[rstest]
    #[case::nothing(vec![], 0)]
    #[case::ok(vec![about().ok("1.0")], 0)]
    #[case::advice_alone(vec![about().ok("1.0"), about().advice("none", "get one")], 0)]
    #[case::missing(vec![about().advice("none", "get one"), about().missing("none", "get one")], 3)]
    fn only_what_is_missing_fails(#[case] checks: Vec<DoctorCheck>, #[case] code: u8) {
        assert_eq!(Report::new(TargetKind::Kind, checks).exit().code(), code);
    }

    #[test]
    fn packages_of_missing_things_are_named_together() {
        let checks = vec![
            about().package(CheckState::Missing, "none", "nftables"),
            about().package(CheckState::Missing, "none", "iptables"),
            about().package(CheckState::Missing, "none", "iptables"),
            about().package(CheckState::Advice, "none", "chromium"),
        ];
        let report = Report::new(TargetKind::Local, checks);
        assert_eq!(Vec::from_iter(report.packages()), ["iptables", "nftables"]);
    }
}
