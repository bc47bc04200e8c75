//! Renders a report as text.

use owo_colors::Style;

use super::{CheckState, DoctorCheck, Report, Verbosity};
use crate::output::{Palette, clean_line};

/// Column widths of states and names.
const STATE: usize = 8;
const NAME: usize = 18;

pub(super) fn render(report: &Report, palette: Palette, message: Verbosity) -> String {
    let checks = report.checks.iter();
    let shown = checks.filter(|check| message != Verbosity::Few || check.state != CheckState::Ok);
    let mut text: String = shown.map(|check| lines(check, palette, message)).collect();
    let packages = Vec::from_iter(report.packages());
    if packages.len() > 1 {
        let packages = packages.join(" ");
        text.push_str(&format!(
            "all missing Debian or Ubuntu packages at once, as root: apt-get install {packages}\n"
        ));
    }
    text.push_str(&last(report));
    text
}

fn lines(check: &DoctorCheck, palette: Palette, message: Verbosity) -> String {
    let (word, style) = match check.state {
        CheckState::Ok => ("ok", Style::new().green()),
        CheckState::Advice => ("advice", Style::new().yellow()),
        CheckState::Missing => ("MISSING", Style::new().red().bold()),
    };
    let word = palette.paint(format!("{word:<STATE$}"), style);
    let mut text = format!(
        "{word} {:<NAME$} {}\n",
        check.name,
        clean_line(&check.found)
    );
    let mut more = |label: &str, message: &str| {
        text.push_str(&format!("{:STATE$} {label:<NAME$} {message}\n", ""));
    };
    if message == Verbosity::All || check.state != CheckState::Ok {
        more("  needed for", check.why);
    }
    if let Some(remedy) = &check.remedy {
        more("  remedy", &clean_line(remedy));
    }
    text
}

fn last(report: &Report) -> String {
    let target = report.target;
    let advice = match report.count(CheckState::Advice) {
        0 => String::new(),
        1 => ", 1 piece of advice".to_owned(),
        n => format!(", {n} pieces of advice"),
    };
    match report.count(CheckState::Missing) {
        0 => format!("the {target} target can start here{advice}\n"),
        1 => format!("the {target} target cannot start here: 1 thing is missing{advice}\n"),
        n => format!("the {target} target cannot start here: {n} things are missing{advice}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::check::CheckBuilder, targets::TargetKind};

    fn report() -> Report {
        let about = |name: &str| CheckBuilder::new(name, "calls");
        let checks = vec![
            about("linux").ok("x86_64"),
            about("iptables").package(CheckState::Missing, "not found in PATH", "iptables"),
            about("nft").package(CheckState::Missing, "not found in PATH", "nftables"),
            about("memory").advice("1.0 GB\u{1b}[2J", "add some"),
        ];
        Report::new(TargetKind::Local, checks)
    }

    #[test]
    fn people_read_what_is_missing_and_how_to_get_it() {
        insta::assert_snapshot!(report().text(Palette::PLAIN, Verbosity::Usual));
    }

    #[test]
    fn verbose_says_what_each_thing_is_for() {
        let text = report().text(Palette::PLAIN, Verbosity::All);
        assert_eq!(text.matches("needed for").count(), 4, "{text}");
    }

    #[test]
    fn quiet_says_nothing_of_what_is_there() {
        let text = report().text(Palette::PLAIN, Verbosity::Few);
        assert!(!text.contains("linux") && text.contains("memory"), "{text}");
    }

    #[test]
    fn nothing_missing_is_said() {
        let checks = vec![CheckBuilder::new("memory", "pods").advice("1.0 GB", "add some")];
        let text = Report::new(TargetKind::Kind, checks).text(Palette::PLAIN, Verbosity::Usual);
        assert!(
            text.ends_with("the kind target can start here, 1 piece of advice\n"),
            "{text}"
        );
    }
}
