//! The page's data: everything that the template shows, already as text.

use askama::Template;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    report::{
        model::{
            BringUpPhase, CheckReport, EvidenceReport, Failure, Model, ScenarioReport, StepReport,
            is_unexpected,
        },
        text,
    },
    verdict::outcome::{LEDGER, Verdict},
};

/// `report.html` as text.
pub fn render(model: &Model) -> String {
    let page = Page {
        model,
        counts: text::counts(model),
        wall: text::duration(model.wall_ms),
        scene: scene(model),
        share: share(model),
        failures: model.failures().iter().map(failed).collect(),
        scenarios: ordered(model),
    };
    page.render().expect("writing to memory")
}

/// The mesh in one line: what a reader looks for first.
fn scene(model: &Model) -> String {
    let version = |what: &str| {
        let found = model.versions.iter().find(|(name, _)| *name == what)?;
        Some(format!("{what} {}", found.1))
    };
    let run = &model.run;
    let versions = ["istio", "envoy", "kubernetes"]
        .into_iter()
        .filter_map(version);
    let mut parts = vec![format!("{} target", run.target)];
    parts.extend(versions);
    parts.push(format!("profile {}", run.profile));
    parts.push(run.started.clone());
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    model: &'a Model,
    counts: String,
    wall: String,
    /// What was tested, and when.
    scene: String,
    share: Vec<Slice>,
    /// Failures outside scenarios.
    failures: Vec<Failed>,
    scenarios: Vec<View<'a>>,
}

/// A failed part of the run.
struct Failed {
    part: &'static str,
    message: String,
}

fn failed(failure: &Failure) -> Failed {
    Failed {
        part: failure.part.name(),
        message: failure.message(),
    }
}

/// One part of the bar of verdicts, in percent of its width.
struct Slice {
    class: &'static str,
    name: &'static str,
    count: usize,
    x: f64,
    width: f64,
}

struct View<'a> {
    /// Set for the first row of a group.
    heading: Option<String>,
    scenario: &'a ScenarioReport,
    anchor: String,
    /// The anchor as part of a URL.
    link: String,
    class: &'static str,
    verdict: String,
    open: bool,
    /// Describes the folded details.
    summary: String,
    wall: String,
    /// Wall time divided by the minimum time, e.g. `1.3`.
    ratio: Option<String>,
    checks: Vec<Row<'a>>,
    /// Ledger checks that hold, probe by probe.
    agreed: String,
    evidence: Vec<Link<'a>>,
    reproduce: String,
}

struct Row<'a> {
    report: &'a CheckReport,
    bad: bool,
    result: &'static str,
}

struct Link<'a> {
    href: String,
    caption: &'a str,
    file: &'a str,
}

impl Link<'_> {
    fn is_picture(&self) -> bool {
        self.file.ends_with(".png")
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Error => "error",
        Verdict::Skip => "skip",
        Verdict::KnownFailure => "known",
        Verdict::UnexpectedPass => "unexpected",
    }
}

/// Unexpected verdicts first, then area by area, independent of the order in which scenarios ran.
fn ordered(model: &Model) -> Vec<View<'_>> {
    let group = |scenario: &ScenarioReport| {
        if is_unexpected(scenario.verdict()) {
            (0, String::new())
        } else {
            (1, scenario.plan.area.clone())
        }
    };
    let mut scenarios: Vec<&ScenarioReport> = model.scenarios.iter().collect();
    scenarios.sort_by_cached_key(|scenario| (group(scenario), scenario.anchor()));
    let mut views = Vec::new();
    for same in scenarios.chunk_by(|a, b| group(a) == group(b)) {
        let name = match group(same[0]) {
            (0, _) => "unexpected".to_owned(),
            (_, area) => area,
        };
        let mut heading = Some(format!("{name} · {}", same.len()));
        views.extend(same.iter().map(|scenario| View {
            heading: heading.take(),
            ..view(model, scenario)
        }));
    }
    views
}

fn view<'a>(model: &'a Model, scenario: &'a ScenarioReport) -> View<'a> {
    let row = |report| Row {
        report,
        bad: text::is_bad(report),
        result: text::result(report),
    };
    let link = |(evidence, path): (&'a EvidenceReport, String)| Link {
        href: address(&path),
        caption: &evidence.caption,
        file: &evidence.file,
    };
    let (folded, reported): (Vec<_>, Vec<_>) = scenario
        .checks
        .iter()
        .partition(|check| is_agreement(check));
    View {
        heading: None,
        scenario,
        anchor: scenario.anchor(),
        link: address(&scenario.anchor()),
        class: class(scenario.verdict()),
        verdict: text::verdict(scenario.verdict(), scenario.end.class),
        open: is_unexpected(scenario.verdict()),
        summary: summary(scenario),
        wall: text::duration(scenario.end.wall_ms),
        ratio: ratio(scenario),
        checks: reported.into_iter().map(row).collect(),
        agreed: agreed(&folded),
        evidence: scenario
            .evidence
            .iter()
            .zip(scenario.evidence_paths())
            .map(link)
            .collect(),
        reproduce: model.reproduce(scenario),
    }
}

/// Client and servers recorded the same calls. This is a quarter of all checks, so those that hold
/// are combined into one line.
fn is_agreement(check: &CheckReport) -> bool {
    check.check.matcher == LEDGER && !text::is_bad(check)
}

fn agreed(checks: &[&CheckReport]) -> String {
    let each = checks.iter().map(|report| {
        let check = &report.check;
        format!("step {} {} ({})", report.step, check.probe, check.actual)
    });
    each.collect::<Vec<_>>().join(" · ")
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of one run")]
fn ratio(scenario: &ScenarioReport) -> Option<String> {
    (scenario.end.min_ms > 0).then(|| {
        format!(
            "{:.1}",
            scenario.end.wall_ms as f64 / scenario.end.min_ms as f64
        )
    })
}

#[expect(clippy::cast_precision_loss, reason = "numbers of scenarios")]
fn share(model: &Model) -> Vec<Slice> {
    let counts = model.counts();
    let total = counts.total().max(1) as f64;
    let mut x = 0.0;
    let parts = [
        ("pass", "passed", counts.pass),
        ("known", "known failures", counts.known),
        ("skip", "skipped", counts.skip),
        ("error", "errors", counts.error),
        ("unexpected", "unexpected passes", counts.unexpected),
        ("fail", "failed", counts.fail),
    ];
    let slice = |(class, name, count): (_, _, usize)| {
        let width = count as f64 / total * 100.0;
        let slice = Slice {
            class,
            name,
            count,
            x,
            width,
        };
        x += width;
        slice
    };
    parts
        .into_iter()
        .filter(|part| part.2 > 0)
        .map(slice)
        .collect()
}

impl BringUpPhase {
    fn time(&self) -> String {
        time(self.ms)
    }
}

impl StepReport {
    fn time(&self) -> String {
        time(self.ms)
    }
}

/// `3 checks, 1 step`; parts with 0 are left out.
fn summary(scenario: &ScenarioReport) -> String {
    let parts = [
        (scenario.checks.len(), "check", "checks"),
        (scenario.steps.len(), "step", "steps"),
        (
            scenario.evidence.len(),
            "piece of evidence",
            "pieces of evidence",
        ),
    ];
    let word =
        |(n, one, many): (usize, &str, &str)| format!("{n} {}", if n == 1 { one } else { many });
    let texts: Vec<_> = parts
        .into_iter()
        .filter(|part| part.0 > 0)
        .map(word)
        .collect();
    if texts.is_empty() {
        "more".into()
    } else {
        texts.join(", ")
    }
}

fn time(ms: Option<u64>) -> String {
    ms.map_or_else(|| "did not end".into(), text::duration)
}

/// A relative URL in which no character but `/` is special; it never has a scheme.
fn address(path: &str) -> String {
    const SPECIAL: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'%')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'`')
        .add(b':')
        .add(b'\\')
        .add(b'\'')
        .add(b'&');
    utf8_percent_encode(path, SPECIAL).to_string()
}
