//! Emits events of the checks and the evidence of a scenario.

use super::{caption::caption, context::RunContext};
use crate::{
    event::EventKind,
    evidence::bundle::WriteError,
    scenario::{StepNumber, loaded::LoadedScenario},
    verdict::outcome::Check,
};

/// Writes texts as evidence of a scenario.
pub fn keep(ctx: &RunContext, loaded: &LoadedScenario, all: Vec<(String, String)>) {
    let Some(bundle) = &ctx.bundle else {
        return;
    };
    for (name, text) in all {
        let written = bundle.evidence(&loaded.folder(), &name, &text);
        kept(ctx, loaded, caption(&name), written);
    }
}

/// Emits an event for a piece of evidence, or a note that it could not be written.
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

pub fn reported(ctx: &RunContext, loaded: &LoadedScenario, step: StepNumber, check: &Check) {
    ctx.recorder.emit(EventKind::Checked {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        step,
        check: Box::new(check.clone()),
    });
}
