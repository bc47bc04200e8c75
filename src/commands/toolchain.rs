//! `meshproof toolchain prepare|status`.

use std::fmt::Write as _;

use super::CommandError;
use crate::{
    cli::{Format, ToolchainArgs, ToolchainCommand, ToolchainPrepare, ToolchainStatus},
    exit::Exit,
    output,
    toolchain::{self, EnvoyVersion, Options, Progress},
};

/// Carries out one of the subcommands.
///
/// # Errors
/// [`CommandError`]: what is missing and how to get it.
pub fn run(args: &ToolchainArgs) -> Result<Exit, CommandError> {
    match &args.command {
        ToolchainCommand::Prepare(args) => prepare(args),
        ToolchainCommand::Status(args) => status(args),
    }
}

/// Tells a person how far a preparation is; lines of compilers only now and then.
pub fn tell(progress: Progress<'_>) {
    let worth = match progress {
        Progress::Line { packages, .. } => packages % 100 == 0,
        Progress::Cached { .. } => false,
        _ => true,
    };
    if worth {
        output::say(&output::clean(&progress.to_string()));
    }
}

/// The Envoy that a flag names.
///
/// # Errors
/// When it is none of the pinned ones.
pub fn envoy(version: Option<&str>) -> Result<EnvoyVersion, CommandError> {
    match version {
        Some(version) => version
            .parse()
            .map_err(|error| CommandError::Usage(format!("{error}"))),
        None => Ok(EnvoyVersion::default()),
    }
}

fn prepare(args: &ToolchainPrepare) -> Result<Exit, CommandError> {
    let options = Options::new(envoy(args.envoy.as_deref())?).map_err(CommandError::other)?;
    let chain = toolchain::prepare(&options, tell).map_err(CommandError::other)?;
    for (name, version) in &chain.versions {
        output::line(&format!("{name} {version}")).map_err(CommandError::Stdout)?;
    }
    Ok(Exit::Ok)
}

fn status(args: &ToolchainStatus) -> Result<Exit, CommandError> {
    let options = Options::new(envoy(args.envoy.as_deref())?).map_err(CommandError::other)?;
    let status = toolchain::status(&options).map_err(CommandError::other)?;
    match args.output {
        Format::Json => output::json(&status),
        Format::Text => output::data(&text(&status)),
    }
    .map_err(CommandError::Stdout)?;
    Ok(if status.ready() {
        Exit::Ok
    } else {
        Exit::Error
    })
}

fn text(status: &toolchain::Status) -> String {
    let mut text = format!("cache {}\n", status.cache.display());
    for set in &status.sets {
        let _ = writeln!(text, "{}: {:?}", set.name, set.state);
    }
    for (name, version) in &status.versions {
        let _ = writeln!(text, "{name} {version}");
    }
    text
}
