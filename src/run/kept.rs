//! Telling of what a scenario leaves: checks, and evidence that was kept or could not be.

use super::{caption::caption, context::Context};
use crate::{
    event::Kind,
    evidence::bundle::WriteError,
    scenario::{StepNumber, loaded::Loaded},
    verdict::outcome::Check,
};

/// Keeps texts as evidence of a scenario.
pub fn keep(ctx: &Context, loaded: &Loaded, all: Vec<(String, String)>) {
    let Some(bundle) = &ctx.bundle else {
        return;
    };
    for (name, text) in all {
        let written = bundle.evidence(&loaded.folder(), &name, &text);
        kept(ctx, loaded, caption(&name), written);
    }
}

/// Tells of a piece of evidence, or that it could not be kept.
pub fn kept(ctx: &Context, loaded: &Loaded, caption: String, written: Result<String, WriteError>) {
    let id = loaded.id.clone();
    ctx.recorder.emit(match written {
        Ok(file) => Kind::Evidence {
            id,
            attempt: loaded.attempt,
            file,
            caption,
        },
        Err(error) => Kind::Note {
            text: format!("{id}: {error}"),
        },
    });
}

pub fn told(ctx: &Context, loaded: &Loaded, step: StepNumber, check: &Check) {
    ctx.recorder.emit(Kind::Checked {
        id: loaded.id.clone(),
        attempt: loaded.attempt,
        step,
        check: Box::new(check.clone()),
    });
}
