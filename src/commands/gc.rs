//! `meshproof target gc`: removes what dead runs left.

use super::{
    CommandError,
    reached::{ReachError, Reached},
};
use crate::{
    cli::TargetGc,
    cluster::runs::{self, RunState, RunsError, SweepScope},
    errors::{Classified, ErrorClass},
    exit::Exit,
    output::{self, clean},
    timeouts::timeouts,
};

/// An error removing anything from a target.
#[derive(Debug, thiserror::Error)]
#[error("{target}")]
struct Unswept {
    target: String,
    source: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error(transparent)]
    Runs(#[from] RunsError),
}

impl Classified for Unswept {
    fn class(&self) -> ErrorClass {
        match &self.source {
            Cause::Reach(error) => error.class(),
            Cause::Runs(error) => error.class(),
        }
    }
}

/// Cleans up the target that the flags name.
///
/// # Errors
/// There is no such target, or it does not answer.
pub async fn run(args: &TargetGc) -> Result<Exit, CommandError> {
    let reached = Reached::find(&args.which)?;
    let which = match (&args.run, args.all) {
        (Some(run), _) => SweepScope::One(run),
        (None, true) => SweepScope::All,
        (None, false) => SweepScope::Dead,
    };
    sweep(&reached, which, args.dry_run).await
}

/// Removes what the selected runs left, and prints a line for each removal. What cannot be removed
/// is printed with its reason and makes the command fail.
///
/// # Errors
/// The target does not answer.
/// The target does not answer.
pub(super) async fn sweep(
    reached: &Reached,
    which: SweepScope<'_>,
    dry: bool,
) -> Result<Exit, CommandError> {
    let (name, kind) = (reached.name(), reached.kind().name());
    let trouble = |source: Cause| {
        let target = format!("the {kind} target {name}");
        CommandError::of(Unswept { target, source })
    };
    let client = reached.client().await;
    let client = client.map_err(|error| trouble(error.into()))?;
    let limit = timeouts().cluster.gone;
    let swept = runs::sweep(&client, which, limit, dry).await;
    let swept = swept.map_err(|error| trouble(error.into()))?;
    let done = if dry { "would remove" } else { "removed" };
    let lines = swept.removed.iter().map(|what| format!("{done} {what}\n"));
    output::data(&clean(&lines.collect::<String>())).map_err(CommandError::Stdout)?;
    for message in &swept.stays {
        output::say(&clean(message));
    }
    if swept.removed.is_empty() && swept.stays.is_empty() {
        output::say("nothing to remove");
    }
    let left = runs::find(&client).await;
    let left = left.map_err(|error| trouble(error.into()))?;
    for run in left.iter().filter(|run| run.state == RunState::Living) {
        let (id, age) = (clean(&run.id), runs::age_words(run.age));
        output::say(&format!("run {id} is still alive ({age}): not removed"));
    }
    Ok(if swept.stays.is_empty() {
        Exit::Ok
    } else {
        Exit::Error
    })
}
