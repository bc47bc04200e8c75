//! `summary.md`: a table of claims, then everything unexpected. GitHub Actions shows it as the
//! summary of a step.

use std::fmt::Write;

use super::model::{Model, ScenarioReport, is_unexpected};
use super::text;
use crate::output::clean_line;

/// Maximum size of a step summary on GitHub, in bytes.
pub const GITHUB_LIMIT: usize = 1024 * 1024;

/// `summary.md` as text. Text from elsewhere is escaped: it can neither add markup nor notify
/// anyone.
pub fn render(model: &Model) -> String {
    let mut page = String::from("# meshproof\n\n");
    head(&mut page, model);
    if !model.scenarios.is_empty() {
        page.push_str("\n| verdict | scenario | claim | time |\n| --- | --- | --- | ---: |\n");
        for scenario in &model.scenarios {
            row(&mut page, scenario);
        }
    }
    for scenario in model.unexpected() {
        failure(&mut page, model, scenario);
    }
    page
}

/// The same, cut to GitHub's limit.
pub fn for_github(page: &str) -> &str {
    const ROOM: usize = GITHUB_LIMIT - 1;
    if page.len() <= ROOM {
        return page;
    }
    let cut = page.floor_char_boundary(ROOM);
    page[..cut].rfind('\n').map_or("", |end| &page[..=end])
}

fn head(page: &mut String, model: &Model) {
    outcome(page, model);
    circumstances(page, model);
}

/// Writes how the run ended, and what failed outside the scenarios.
fn outcome(page: &mut String, model: &Model) {
    line(
        page,
        &format!(
            "**{}** in {}",
            text::counts(model),
            text::duration(model.wall_ms)
        ),
    );
    if let Some(signal) = &model.interrupted {
        line(
            page,
            &format!(
                "\nStopped by {}. Scenarios without a verdict are listed as ERROR or SKIP.",
                escape(signal)
            ),
        );
    } else if !model.complete {
        line(page, "\nThe event log has no end: the run did not finish.");
    }
    for failure in model.failures() {
        let part = failure.part.name();
        line(
            page,
            &format!("\n**ERROR** {part}: {}", escape(&failure.message())),
        );
    }
}

/// Writes the list of what was tested, with which versions, and how to repeat it.
fn circumstances(page: &mut String, model: &Model) {
    let run = &model.run;
    line(
        page,
        &format!(
            "\n- Target {}, mesh {}, profile {}",
            escape(&run.target),
            escape(&run.mesh),
            escape(&run.profile)
        ),
    );
    line(
        page,
        &format!(
            "- Run {}, started {}, seed {}",
            escape(&run.run_id),
            escape(&run.started),
            run.seed
        ),
    );
    if !model.versions.is_empty() {
        let versions: Vec<_> = model
            .versions
            .iter()
            .map(|(what, version)| format!("{} {}", escape(what), escape(version)))
            .collect();
        line(page, &format!("- {}", versions.join(", ")));
    }
    if !model.lacks.is_empty() {
        let lacks: Vec<_> = model.lacks.iter().map(|what| escape(what)).collect();
        line(page, &format!("- This profile lacks: {}", lacks.join(", ")));
    }
    line(page, &format!("- Reproduce: {}", code(&run.reproduce)));
    for note in &model.notes {
        line(page, &format!("- {}", escape(note)));
    }
}

fn row(page: &mut String, scenario: &ScenarioReport) {
    let claim = match scenario.end.cause.is_empty() {
        true => escape(&scenario.plan.title),
        false => format!(
            "{}<br>{}",
            escape(&scenario.plan.title),
            escape(&text::short(&scenario.end.cause, 240))
        ),
    };
    let verdict = text::verdict(scenario.verdict(), scenario.end.class);
    let verdict = if is_unexpected(scenario.verdict()) {
        format!("**{verdict}**")
    } else {
        verdict
    };
    let time = text::duration(scenario.end.wall_ms);
    line(
        page,
        &format!(
            "| {verdict} | {} | {claim} | {time} |",
            escape(&scenario.anchor())
        ),
    );
}

fn failure(page: &mut String, model: &Model, scenario: &ScenarioReport) {
    line(
        page,
        &format!(
            "\n## {} {}\n",
            text::verdict(scenario.verdict(), scenario.end.class),
            escape(&scenario.anchor())
        ),
    );
    line(page, &format!("{}\n", escape(&scenario.plan.title)));
    if !scenario.end.cause.is_empty() {
        line(page, &format!("- Cause: {}", escape(&scenario.end.cause)));
    }
    for report in scenario.checks.iter().filter(|check| text::is_bad(check)) {
        let check = &report.check;
        let (probe, matcher) = (escape(&check.probe), escape(&check.matcher));
        line(
            page,
            &format!(
                "- Step {}, {probe} / {matcher}: {}",
                report.step,
                text::result(report)
            ),
        );
        line(page, &format!("  - expected: {}", escape(&check.expected)));
        line(page, &format!("  - actual: {}", escape(&check.actual)));
        if !check.method.is_empty() {
            line(page, &format!("  - method: {}", escape(&check.method)));
        }
    }
    if let Some(link) = &scenario.end.known {
        line(page, &format!("- Known-failure entry: {}", escape(link)));
    }
    if !scenario.evidence.is_empty() {
        line(
            page,
            &format!("- Evidence: {}", code(&scenario.evidence_dir())),
        );
    }
    line(
        page,
        &format!("- Reproduce: {}", code(&model.reproduce(scenario))),
    );
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to memory");
}

/// One line of text in which Markdown and HTML have no special characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean_line(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Prevents mentions and issue links.
            '@' => escaped.push_str("&#64;"),
            '#' => escaped.push_str("&#35;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    // Prevents autolinks of bare addresses.
    escaped
        .replace("://", ":&#8203;//")
        .replace("www.", "www&#8203;.")
}

/// A code span of any text.
fn code(text: &str) -> String {
    let text = clean_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("<script>", "&lt;script&gt;")]
    #[case("a|b", r"a\|b")]
    #[case("[x](javascript:1)", r"\[x\](javascript:1)")]
    #[case("@team #12", "&#64;team &#35;12")]
    #[case("x\n\n# heading", "x &#35; heading")]
    #[case("https://evil", "https:&#8203;//evil")]
    fn markdown_from_elsewhere_is_text(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(escape(text), expected);
    }

    #[rstest]
    #[case("a", "`a`")]
    #[case("a `b` ``c``", "``` a `b` ``c`` ```")]
    fn code_spans_hold_backticks(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(code(text), expected);
    }

    #[test]
    fn a_step_summary_is_cut_at_a_line() {
        let page = "ä line\n".repeat(GITHUB_LIMIT / 8 + 10);
        let cut = for_github(&page);
        assert!(cut.len() < GITHUB_LIMIT && cut.ends_with('\n') && cut.len() > GITHUB_LIMIT - 20);
        assert_eq!(for_github("short"), "short");
    }
}
