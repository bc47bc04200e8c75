//! The console output during and at the end of a run. Pure: events in, lines out; [`super::sink`]
//! writes them.

use std::fmt::Write;
use std::path::Path;

use owo_colors::Style;

use super::{
    model::{Model, ScenarioReport, StepReport, is_unexpected},
    text,
};
use crate::{
    errors::ErrorClass,
    event::{Event, EventKind, ScenarioEnd},
    exit::Exit,
    output::{Palette, clean, clean_line},
    verdict::outcome::Verdict,
};

/// Ids up to this width are padded to one column.
const WIDEST_ID: usize = 56;
const CAUSE: usize = 160;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Only unexpected results and the summary.
    Quiet,
    #[default]
    Normal,
    /// Also each step.
    Verbose,
}

/// A line for one of the two output streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A result: data.
    Result(String),
    /// Progress, for a waiting user.
    Progress(String),
}

#[derive(Debug, Clone, Copy)]
pub struct Console {
    pub palette: Palette,
    pub detail: Detail,
}

impl Console {
    /// The line for an event, if it has one. `model` already includes the event.
    pub fn line(&self, event: &Event, model: &Model) -> Option<Line> {
        match &event.kind {
            EventKind::ScenarioEnded(end) => self.verdict_line(end, model).map(Line::Result),
            EventKind::Interrupted { signal } => Some(Line::Progress(format!(
                "stopped by {}; cleaning up",
                clean_line(signal)
            ))),
            EventKind::Note { text } => Some(Line::Progress(format!("note: {}", clean_line(text)))),
            _ if self.detail == Detail::Quiet => None,
            EventKind::RunStarted(run) => Some(Line::Progress(clean_line(&format!(
                "meshproof {}: run {}, target {}, mesh {}, profile {}, seed {}",
                run.meshproof, run.run_id, run.target, run.mesh, run.profile, run.seed
            )))),
            EventKind::PhaseEnded {
                phase,
                ms,
                error: None,
            } => Some(Line::Progress(format!(
                "{} {}",
                clean_line(phase),
                self.dim(&text::duration(*ms))
            ))),
            EventKind::TargetReady {
                versions, lacks, ..
            } => Some(Line::Progress(ready(versions, lacks))),
            _ if self.detail == Detail::Normal => None,
            EventKind::StepEnded {
                id, attempt, step, ..
            } => {
                let scenario = model.find(id, *attempt)?;
                let ended = scenario.steps.iter().rev().find(|s| s.step == *step)?;
                Some(Line::Progress(self.step(scenario, ended)))
            }
            _ => None,
        }
    }

    fn verdict_line(&self, end: &ScenarioEnd, model: &Model) -> Option<String> {
        if self.detail == Detail::Quiet && !is_unexpected(end.verdict) {
            return None;
        }
        let widest = model
            .scenarios
            .iter()
            .map(|s| s.anchor().chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDEST_ID);
        let verdict = self.verdict(end.verdict, end.class, 15);
        let id = clean_line(&model.find(&end.id, end.attempt)?.anchor());
        let time = text::duration(end.wall_ms);
        let cause = text::short(&end.cause, CAUSE);
        let line = format!("{verdict} {id:widest$} {time:>7}  {cause}");
        Some(line.trim_end().to_owned())
    }

    fn step(&self, scenario: &ScenarioReport, step: &StepReport) -> String {
        let line = format!(
            "{} step {}: {} {}",
            clean_line(&scenario.anchor()),
            step.step,
            clean_line(&step.what),
            self.dim(&text::duration(step.ms.unwrap_or_default()))
        );
        match &step.error {
            Some(error) => format!("{line}: {}", clean_line(error)),
            None => line,
        }
    }

    /// The end of the output: details of everything unexpected, then one line of counts.
    pub fn end(&self, model: &Model, report_dir: Option<&Path>) -> String {
        let mut page = String::new();
        for scenario in model.unexpected() {
            self.failure(&mut page, model, scenario, report_dir);
        }
        if !page.is_empty() || self.detail != Detail::Quiet {
            page.push('\n');
        }
        for failure in model.failures() {
            let verdict = self.verdict(Verdict::Error, None, 0);
            let (part, message) = (failure.part.name(), clean_line(&failure.message()));
            put(&mut page, &format!("{verdict} {part}: {message}"));
        }
        if model.exit() == Exit::NothingSelected {
            put(&mut page, "no scenario was selected");
        }
        put(
            &mut page,
            &format!(
                "{} in {}",
                text::counts(model),
                text::duration(model.wall_ms)
            ),
        );
        if let (Some(dir), true) = (report_dir, self.detail != Detail::Quiet) {
            put(
                &mut page,
                &self.dim(&format!("report: {}", dir.join("report.html").display())),
            );
        }
        page
    }

    fn failure(
        &self,
        page: &mut String,
        model: &Model,
        scenario: &ScenarioReport,
        report_dir: Option<&Path>,
    ) {
        let verdict = self.verdict(scenario.verdict(), scenario.end.class, 0);
        put(
            page,
            &format!("\n{verdict} {}", clean_line(&scenario.anchor())),
        );
        put(page, &format!("  {}", clean_line(&scenario.plan.title)));
        if !scenario.end.cause.is_empty() {
            field(page, "cause", &scenario.end.cause);
        }
        for report in scenario.checks.iter().filter(|check| text::is_bad(check)) {
            let check = &report.check;
            let claim = format!(
                "step {}, {} / {}: {}",
                report.step,
                check.probe,
                check.matcher,
                text::result(report)
            );
            field(page, "check", &claim);
            field(page, "  expected", &check.expected);
            field(page, "  actual", &check.actual);
            if !check.method.is_empty() {
                field(page, "  method", &check.method);
            }
        }
        if let Some(known) = &scenario.end.known {
            field(page, "known", known);
        }
        if let (Some(dir), false) = (report_dir, scenario.evidence.is_empty()) {
            field(
                page,
                "evidence",
                &dir.join(scenario.evidence_dir()).display().to_string(),
            );
        }
        field(page, "rerun", &model.reproduce(scenario));
    }

    fn verdict(&self, verdict: Verdict, class: Option<ErrorClass>, width: usize) -> String {
        let style = match verdict {
            Verdict::Pass => Style::new().green(),
            Verdict::Fail | Verdict::UnexpectedPass => Style::new().red().bold(),
            Verdict::Error => Style::new().yellow().bold(),
            Verdict::Skip | Verdict::KnownFailure => Style::new().dimmed(),
        };
        self.palette
            .paint(format!("{:width$}", text::verdict(verdict, class)), style)
    }

    fn dim(&self, text: &str) -> String {
        self.palette.paint(text, Style::new().dimmed())
    }
}

fn ready(versions: &std::collections::BTreeMap<String, String>, lacks: &[String]) -> String {
    let versions: Vec<_> = versions
        .iter()
        .map(|(what, version)| format!("{what} {version}"))
        .collect();
    let mut line = format!("ready: {}", versions.join(", "));
    if !lacks.is_empty() {
        let _ = write!(line, "; this profile lacks {}", lacks.join(", "));
    }
    clean_line(&line)
}

/// Prints `  name       text`, with further lines of the text indented below the first and marked,
/// so that none of them can look like a line of meshproof or a command to a CI runner.
fn field(page: &mut String, name: &str, text: &str) {
    const INDENT: usize = 13;
    let text = clean(text);
    let mut lines = text.lines();
    put(
        page,
        &format!(
            "  {name:<width$}{}",
            lines.next().unwrap_or_default(),
            width = INDENT - 2
        ),
    );
    for more in lines {
        put(page, &format!("{:>INDENT$}{more}", "| "));
    }
}

fn put(page: &mut String, line: &str) {
    page.push_str(line.trim_end_matches(' '));
    page.push('\n');
}
