//! `meshproof toolchain`: the binaries of the local target.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use super::CommandError;
use crate::{
    cli::{ToolchainArgs, ToolchainCommand, ToolchainPrepare, ToolchainStatus},
    env::Terminal,
    exit::Exit,
    output::{self, Format},
    targets::local::world::launch::World,
    toolchain::{
        self, Cache, CacheStatus, EnvoyVersion, PrepareOptions, PrepareProgress, SetState,
        SetStatus, Stored, Use,
    },
};

/// Interval in seconds at which a long build reports that it is still running, if there is no
/// terminal.
const QUIET_SECONDS: u64 = 15;

pub fn run(args: &ToolchainArgs) -> Result<Exit, CommandError> {
    match &args.command {
        ToolchainCommand::Prepare(args) => prepare(args),
        ToolchainCommand::Status(args) => status(args),
        ToolchainCommand::Prune => prune(),
    }
}

/// The version of Envoy that a flag names.
///
/// # Errors
/// It is not one of the pinned versions.
pub fn envoy(version: Option<&str>) -> Result<EnvoyVersion, CommandError> {
    let parsed = version.map(str::parse).transpose();
    let parsed = parsed.map_err(|error: toolchain::ToolchainError| CommandError::usage(&error))?;
    Ok(parsed.unwrap_or_default())
}

fn options(version: Option<&str>, kind: bool) -> Result<PrepareOptions, CommandError> {
    let options = PrepareOptions::new(envoy(version)?).map_err(CommandError::of)?;
    Ok(PrepareOptions { kind, ..options })
}

/// Prints the progress of a preparation as lines, and output of the build tools only now and then.
pub fn print_progress(progress: PrepareProgress<'_>) {
    let worth = match progress {
        PrepareProgress::Line { packages, .. } => packages % 100 == 0,
        PrepareProgress::Cached { .. } => false,
        _ => true,
    };
    if worth {
        output::say(&output::clean_line(&progress.to_string()));
    }
}

fn prepare(args: &ToolchainPrepare) -> Result<Exit, CommandError> {
    let options = options(args.envoy.as_deref(), args.kind)?;
    let mut teller = ProgressPrinter::stderr();
    let prepared = toolchain::prepare(&options, |progress| teller.tell(&progress));
    teller.bar.finish_and_clear();
    let prepared = prepared.map_err(CommandError::of)?;
    output::say(&format!("ready: {}", versions(&prepared.versions)));
    Ok(Exit::Ok)
}

/// Exit code 0 if everything is present, else 3.
fn status(args: &ToolchainStatus) -> Result<Exit, CommandError> {
    let options = options(args.envoy.as_deref(), args.kind)?;
    let status = toolchain::status(&options).map_err(CommandError::of)?;
    let stored = toolchain::stored(&options.cache, &running()).map_err(CommandError::of)?;
    let exit = match status.ready() {
        true => Exit::Ok,
        false => Exit::Error,
    };
    let printed = match args.output {
        Format::Json => output::json(&WithStored { status, stored }),
        Format::Text => output::data(&table(&status, &stored)),
    };
    printed.map_err(CommandError::Stdout)?;
    Ok(exit)
}

/// What `status -o json` prints.
#[derive(Serialize)]
struct WithStored {
    #[serde(flatten)]
    status: CacheStatus,
    /// Everything in the cache, with its use.
    stored: Vec<Stored>,
}

/// Programs that local targets are running.
fn running() -> Vec<PathBuf> {
    let worlds = World::all();
    let programs = worlds.into_iter().map(|world| world.spec);
    programs
        .flat_map(|spec| {
            [
                spec.bins,
                spec.interop,
                spec.grpcio.unwrap_or_default(),
                spec.envoy,
                spec.bootstrap_template,
            ]
        })
        .collect()
}

fn prune() -> Result<Exit, CommandError> {
    let cache = Cache::of_user().map_err(CommandError::of)?;
    let removed = toolchain::prune(&cache, &running()).map_err(CommandError::of)?;
    let bytes: u64 = removed.iter().map(|set| set.bytes).sum();
    for set in &removed {
        output::say(&format!("removed {}", set.path.display()));
    }
    let message = format!("{} unused sets, {} MB", removed.len(), bytes / 1_000_000);
    output::say(&message);
    Ok(Exit::Ok)
}

fn table(status: &CacheStatus, stored: &[Stored]) -> String {
    let sets: String = status.sets.iter().map(row).collect();
    let hint = if status.ready() {
        ""
    } else {
        "run `meshproof toolchain prepare` to build what is missing\n"
    };
    format!(
        "{sets}{}\n{}{hint}",
        versions(&status.versions),
        in_cache(stored)
    )
}

/// The contents of the cache.
fn in_cache(stored: &[Stored]) -> String {
    let total: u64 = stored.iter().map(|set| set.bytes).sum();
    let mut text = format!("the cache holds {} MB:\n", total / 1_000_000);
    for set in stored {
        let used = match &set.used {
            Use::Pinned => "used".to_owned(),
            Use::Running => "running".to_owned(),
            Use::Busy { holder } => format!("being built by {holder}"),
            Use::Unused => "unused".to_owned(),
        };
        text.push_str(&format!(
            "{:>7} MB  {used:<8} {}\n",
            set.bytes / 1_000_000,
            set.name
        ));
    }
    if stored.iter().any(|set| set.used == Use::Unused) {
        text.push_str("run `meshproof toolchain prune` to remove unused sets\n");
    }
    text
}

fn row(set: &SetStatus) -> String {
    let state = match &set.state {
        SetState::Ready { bytes, components } => {
            format!(
                "ready, {} programs, {} MB",
                components.len(),
                bytes / 1_000_000
            )
        }
        SetState::Partial { done } => format!("interrupted after {} programs", done.len()),
        SetState::Busy { holder } => format!("being built by {holder}"),
        SetState::Damaged { why } => format!("damaged: {why}"),
        SetState::Missing => "missing".to_owned(),
    };
    format!(
        "{:<14} {state}\n{:<14} {}\n",
        set.name,
        "",
        set.path.display()
    )
}

fn versions(versions: &std::collections::BTreeMap<String, String>) -> String {
    versions
        .iter()
        .map(|(what, version)| format!("{what} {version}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Prints steps as lines, and output of the build tools as one changing line if there is a
/// terminal.
struct ProgressPrinter {
    bar: ProgressBar,
    told_at: u64,
}

impl ProgressPrinter {
    fn stderr() -> Self {
        let terminal = Terminal::from_env();
        let calm = terminal.ci || terminal.dumb || !io::stderr().is_terminal();
        let bar = match calm {
            true => ProgressBar::hidden(),
            false => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4)),
        };
        Self { bar, told_at: 0 }
    }

    fn tell(&mut self, progress: &PrepareProgress<'_>) {
        let text = output::clean_line(&progress.to_string());
        match progress {
            PrepareProgress::Line { .. } if !self.bar.is_hidden() => self.bar.set_message(text),
            PrepareProgress::Line { elapsed, .. } => {
                let seconds = elapsed.as_secs();
                if seconds >= self.told_at + QUIET_SECONDS {
                    self.told_at = seconds;
                    output::say(&text);
                }
            }
            _ => {
                self.told_at = 0;
                self.bar.suspend(|| output::say(&text));
            }
        }
    }
}
