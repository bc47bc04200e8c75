//! Telling of what a scenario leaves: checks, and evidence that was kept or could not be.

use super::{caption::caption, context::RunContext};
use crate::{
    event::EventKind,
    evidence::bundle::WriteError,
    scenario::{StepNumber, loaded::LoadedScenario},
    verdict::outcome::Check,
};

/// Keeps texts as evidence of a scenario.
pub fn keep(ctx: &RunContext, loaded: &LoadedScenario, all: Vec<(String, String)>) {
    let Some(bundle) = &ctx.bundle else {
        return;
    };
    for (name, text) in all {
        let written = bundle.evidence(&loaded.folder(), &name, &text);
        kept(ctx, loaded, caption(&name), written);
    }
}

/// Tells of a piece of evidence, or that it could not be kept.
pub fn kept(
    ctx: &RunContext,
    loaded: &LoadedScenario,
    caption: String,
    written: Result<String, WriteError>,
) {
    let id = loaded.id.clone();
    ctx.recorder.emit(match written {
        Ok(file) => EventKind::Evidence {
            id,
            attempt: loaded.attempt,
            file,
            caption,
        },
        Err(error) => EventKind::Note {
            text: format!("{id}: {error}"),
        },
    });
}

pub fn told(ctx: &RunContext, loaded: &LoadedScenario, step: StepNumber, check: &Check) {
    ctx.recorder.emit(EventKind::Checked {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        step,
        check: Box::new(check.clone()),
    });
}
