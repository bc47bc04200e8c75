//! GitHub Actions: one error annotation for each scenario with an unexpected verdict, at its suite
//! file.

use super::model::{Model, ScenarioReport};
use super::text;

/// GitHub shows at most this many annotations of a step.
const SHOWN: usize = 10;

/// The workflow commands, one per line; empty if all verdicts are as expected.
pub fn render(model: &Model) -> String {
    model.unexpected().take(SHOWN).map(annotation).collect()
}

fn annotation(scenario: &ScenarioReport) -> String {
    let verdict = text::verdict(scenario.verdict(), scenario.end.class);
    let title = format!("{verdict} {}", scenario.anchor());
    let message = format!("{}\n{}", scenario.plan.title, scenario.end.cause);
    let (file, title, message) = (
        property(&scenario.plan.file),
        property(&title),
        data(message.trim_end()),
    );
    format!("::error file={file},line=1,title={title}::{message}\n")
}

/// Escapes the part after `::`.
fn data(text: &str) -> String {
    text::plain(text).replace('%', "%25").replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{EndReport, PlanReport};
    use crate::verdict::outcome::Verdict;

    fn model(verdicts: &[Verdict]) -> Model {
        let scenario = |verdict: &Verdict| ScenarioReport {
            id: "routing/x".into(),
            plan: PlanReport {
                file: "suites/routing/x.yaml".into(),
                title: "100% true".into(),
                ..PlanReport::default()
            },
            end: EndReport {
                cause: "saw\n::stop-commands::x".into(),
                verdict: Some(*verdict),
                ..EndReport::default()
            },
            ..ScenarioReport::default()
        };
        Model {
            scenarios: verdicts.iter().map(scenario).collect(),
            ..Model::default()
        }
    }

    #[test]
    fn only_what_is_not_as_expected_is_annotated_and_no_text_is_a_command() {
        let lines = render(&model(&[
            Verdict::Pass,
            Verdict::Fail,
            Verdict::KnownFailure,
        ]));
        let expected = "::error file=suites/routing/x.yaml,line=1,title=FAIL routing/x::\
                        100%25 true%0Asaw%0A::stop-commands::x\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn no_more_than_github_shows() {
        assert_eq!(render(&model(&[Verdict::Error; 30])).lines().count(), 10);
    }
}
