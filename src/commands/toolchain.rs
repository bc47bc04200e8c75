//! `meshproof toolchain`: the binaries of the local target.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::CommandError;
use crate::cli::{Format, ToolchainArgs, ToolchainCommand, ToolchainPrepare, ToolchainStatus};
use crate::env::Terminal;
use crate::exit::Exit;
use crate::output;
use crate::toolchain::{self, EnvoyVersion, Options, Progress, SetStatus, State, Status};

/// Without a terminal, a long build says that it lives this often.
const QUIET_SECONDS: u64 = 15;

pub fn run(args: &ToolchainArgs) -> Result<Exit, CommandError> {
    match &args.command {
        ToolchainCommand::Prepare(args) => prepare(args),
        ToolchainCommand::Status(args) => status(args),
    }
}

/// The Envoy that a flag names.
///
/// # Errors
/// When it is none of the pinned ones.
pub fn envoy(version: Option<&str>) -> Result<EnvoyVersion, CommandError> {
    let parsed = version.map(str::parse).transpose();
    let parsed = parsed
        .map_err(|error: toolchain::ToolchainError| CommandError::Usage(error.to_string()))?;
    Ok(parsed.unwrap_or_default())
}

/// Tells how far a preparation is, as lines; what the build tools say only now and then.
pub fn tell(progress: Progress<'_>) {
    let worth = match progress {
        Progress::Line { packages, .. } => packages % 100 == 0,
        Progress::Cached { .. } => false,
        _ => true,
    };
    if worth {
        output::say(&output::clean_line(&progress.to_string()));
    }
}

fn prepare(args: &ToolchainPrepare) -> Result<Exit, CommandError> {
    let options = Options::new(envoy(args.envoy.as_deref())?).map_err(CommandError::other)?;
    let mut teller = Teller::stderr();
    let prepared = toolchain::prepare(&options, |progress| teller.tell(&progress));
    teller.bar.finish_and_clear();
    let prepared = prepared.map_err(CommandError::other)?;
    output::say(&format!("ready: {}", versions(&prepared.versions)));
    Ok(Exit::Ok)
}

/// 0 when all is there, else 3.
fn status(args: &ToolchainStatus) -> Result<Exit, CommandError> {
    let options = Options::new(envoy(args.envoy.as_deref())?).map_err(CommandError::other)?;
    let status = toolchain::status(&options).map_err(CommandError::other)?;
    let printed = match args.output {
        Format::Json => output::json(&status),
        Format::Text => output::data(&table(&status)),
    };
    printed.map_err(CommandError::Stdout)?;
    Ok(if status.ready() {
        Exit::Ok
    } else {
        Exit::Error
    })
}

fn table(status: &Status) -> String {
    let sets: String = status.sets.iter().map(row).collect();
    let hint = if status.ready() {
        ""
    } else {
        "`meshproof toolchain prepare` makes what is missing\n"
    };
    format!("{sets}{}\n{hint}", versions(&status.versions))
}

fn row(set: &SetStatus) -> String {
    let state = match &set.state {
        State::Ready { bytes, components } => {
            format!(
                "ready, {} programs, {} MB",
                components.len(),
                bytes / 1_000_000
            )
        }
        State::Partial { done } => format!("interrupted after {} programs", done.len()),
        State::Busy { holder } => format!("being made by {holder}"),
        State::Damaged { why } => format!("damaged: {why}"),
        State::Missing => "missing".to_owned(),
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

/// Steps as lines; what the build tools say as one changing line, where there is a terminal to change it on.
struct Teller {
    bar: ProgressBar,
    told_at: u64,
}

impl Teller {
    fn stderr() -> Self {
        let terminal = Terminal::from_env();
        let calm = terminal.ci || terminal.dumb || !io::stderr().is_terminal();
        let bar = match calm {
            true => ProgressBar::hidden(),
            false => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4)),
        };
        Self { bar, told_at: 0 }
    }

    fn tell(&mut self, progress: &Progress<'_>) {
        let text = output::clean_line(&progress.to_string());
        match progress {
            Progress::Line { .. } if !self.bar.is_hidden() => self.bar.set_message(text),
            Progress::Line { elapsed, .. } => {
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
