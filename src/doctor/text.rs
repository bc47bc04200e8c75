//! A report for people.

use owo_colors::Style;

use super::{Check, Report, State, Words};
use crate::output::{Palette, clean_line};

/// Width of the states and of the names.
const STATE: usize = 8;
const NAME: usize = 18;

pub(super) fn render(report: &Report, palette: Palette, words: Words) -> String {
    let checks = report.checks.iter();
    let shown = checks.filter(|check| words != Words::Few || check.state != State::Ok);
    let mut text: String = shown.map(|check| lines(check, palette, words)).collect();
    let packages = Vec::from_iter(report.packages());
    if packages.len() > 1 {
        let packages = packages.join(" ");
        text.push_str(&format!(
            "packages of Debian's or Ubuntu's, all at once, as root: apt-get install {packages}\n"
        ));
    }
    text.push_str(&last(report));
    text
}

fn lines(check: &Check, palette: Palette, words: Words) -> String {
    let (word, style) = match check.state {
        State::Ok => ("ok", Style::new().green()),
        State::Advice => ("advice", Style::new().yellow()),
        State::Missing => ("MISSING", Style::new().red().bold()),
    };
    let word = palette.paint(format!("{word:<STATE$}"), style);
    let mut text = format!(
        "{word} {:<NAME$} {}\n",
        check.name,
        clean_line(&check.found)
    );
    let mut more = |label: &str, words: &str| {
        text.push_str(&format!("{:STATE$} {label:<NAME$} {words}\n", ""));
    };
    if words == Words::All || check.state != State::Ok {
        more("  needed for", check.why);
    }
    if let Some(way_out) = &check.way_out {
        more("  way out", &clean_line(way_out));
    }
    text
}

fn last(report: &Report) -> String {
    let target = report.target;
    let advice = match report.count(State::Advice) {
        0 => String::new(),
        1 => ", 1 piece of advice".to_owned(),
        n => format!(", {n} pieces of advice"),
    };
    match report.count(State::Missing) {
        0 => format!("the {target} target can start here{advice}\n"),
        1 => format!("the {target} target cannot start here: 1 thing is missing{advice}\n"),
        n => format!("the {target} target cannot start here: {n} things are missing{advice}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::check::About, targets::TargetKind};

    fn report() -> Report {
        let about = |name: &str| About::new(name, "calls");
        let checks = vec![
            about("linux").ok("x86_64"),
            about("iptables").package(State::Missing, "not on PATH", "iptables"),
            about("nft").package(State::Missing, "not on PATH", "nftables"),
            about("memory").advice("1.0 GB\u{1b}[2J", "add some"),
        ];
        Report::new(TargetKind::Local, checks)
    }

    #[test]
    fn people_read_what_is_missing_and_how_to_get_it() {
        insta::assert_snapshot!(report().text(Palette::PLAIN, Words::Usual));
    }

    #[test]
    fn verbose_says_what_each_thing_is_for() {
        let text = report().text(Palette::PLAIN, Words::All);
        assert_eq!(text.matches("needed for").count(), 4, "{text}");
    }

    #[test]
    fn quiet_says_nothing_of_what_is_there() {
        let text = report().text(Palette::PLAIN, Words::Few);
        assert!(!text.contains("linux") && text.contains("memory"), "{text}");
    }

    #[test]
    fn nothing_missing_is_said() {
        let checks = vec![About::new("memory", "pods").advice("1.0 GB", "add some")];
        let text = Report::new(TargetKind::Kind, checks).text(Palette::PLAIN, Words::Usual);
        assert!(
            text.ends_with("the kind target can start here, 1 piece of advice\n"),
            "{text}"
        );
    }
}
