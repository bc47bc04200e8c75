//! The free texts of events, which may contain a secret. Values with a type of their own cannot.

use std::collections::BTreeMap;

use super::{Event, EventKind, RunInfo, ScenarioEnd};
use crate::verdict::outcome::Check;

/// Rewrites one text; `None` leaves it unchanged.
pub type Rewrite<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Event {
    /// Rewrites every text of the event. `None` leaves a text unchanged. Verdicts, levels and
    /// numbers are not texts.
    ///
    /// Every field is named here, so that a new field does not compile until someone decides
    /// whether it is a text.
    pub fn rewrite(&mut self, with: &Rewrite<'_>) {
        let Self { at_ms: _, kind } = self;
        kind.rewrite(with);
    }
}

impl EventKind {
    fn rewrite(&mut self, with: &Rewrite<'_>) {
        match self {
            Self::RunStarted(run) => run.rewrite(with),
            Self::PhaseStarted { phase } => text(phase, with),
            Self::PhaseEnded {
                phase,
                ms: _,
                error,
            } => {
                text(phase, with);
                texts(error, with);
            }
            Self::TargetReady {
                versions,
                capabilities,
                lacks,
            } => {
                keys(versions, with);
                texts(versions.values_mut(), with);
                texts(capabilities, with);
                texts(lacks, with);
            }
            Self::ScenarioPlanned {
                id,
                attempt: _,
                title,
                area,
                proves,
                level: _,
                file,
                again,
            } => {
                texts(again, with);
                texts([id, title, area, file], with);
                texts(proves, with);
            }
            Self::ScenarioStarted { id, attempt: _ } => text(id, with),
            Self::StepStarted {
                id,
                attempt: _,
                step: _,
                what,
            } => texts([id, what], with),
            Self::StepEnded {
                id,
                attempt: _,
                step: _,
                ms: _,
                error,
                class: _,
            } => {
                text(id, with);
                texts(error, with);
            }
            Self::Evidence {
                id,
                attempt: _,
                file,
                caption,
            } => texts([id, file, caption], with),
            Self::Checked {
                id,
                attempt: _,
                step: _,
                check,
            } => {
                text(id, with);
                check.rewrite(with);
            }
            Self::ScenarioEnded(end) => end.rewrite(with),
            Self::Note { text: note } => text(note, with),
            Self::Interrupted { signal } => text(signal, with),
            Self::RunEnded { wall_ms: _ } => {}
        }
    }
}

impl RunInfo {
    fn rewrite(&mut self, with: &Rewrite<'_>) {
        let Self {
            schema: _,
            run_id,
            meshproof,
            started,
            target,
            mesh,
            profile,
            seed: _,
            jobs: _,
            alpha: _,
            beta: _,
            args,
            reproduce,
            again,
        } = self;
        texts(again, with);
        texts([&mut run_id.0, meshproof, started], with);
        texts([target, mesh, profile, reproduce], with);
        texts(args, with);
    }
}

impl ScenarioEnd {
    fn rewrite(&mut self, with: &Rewrite<'_>) {
        let Self {
            id,
            attempt: _,
            verdict: _,
            cause,
            class: _,
            wall_ms: _,
            min_ms: _,
            samples,
            known,
        } = self;
        texts([id, cause], with);
        keys(samples, with);
        texts(known, with);
    }
}

impl Check {
    fn rewrite(&mut self, with: &Rewrite<'_>) {
        let Self {
            probe,
            matcher,
            expected,
            actual,
            result: _,
            contrast: _,
            samples: _,
            method,
            alpha: _,
            class: _,
        } = self;
        texts([probe, matcher, expected, actual, method], with);
    }
}

fn text(text: &mut String, with: &Rewrite<'_>) {
    if let Some(new) = with(text) {
        *text = new;
    }
}

fn texts<'t>(all: impl IntoIterator<Item = &'t mut String>, with: &Rewrite<'_>) {
    all.into_iter().for_each(|one| text(one, with));
}

/// Rewrites the keys of a map whose keys are data.
fn keys<V>(map: &mut BTreeMap<String, V>, with: &Rewrite<'_>) {
    let rewritten = |(key, value): (String, V)| (with(&key).unwrap_or(key), value);
    *map = std::mem::take(map).into_iter().map(rewritten).collect();
}
