//! The root command, the global flags, and commands too small for a file of their own.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::{
    DoctorArgs, ImageArgs, ListArgs, MutateArgs, ReportArgs, RunArgs, TargetArgs, ToolchainArgs,
};
use crate::output::{ColorChoice, Format};

/// End-to-end conformance tests for gRPC through service meshes.
///
/// meshproof brings up a mesh, deploys gRPC servers and callers, applies real manifests, sends
/// real calls and gives each behaviour a verdict with evidence. Start with `meshproof run`.
#[derive(Debug, Parser)]
#[command(name = "meshproof", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  every verdict is as expected
  1  at least one FAIL or UNEXPECTED-PASS
  2  wrong usage, or a suite file that does not lint
  3  at least one ERROR: a claim could not be judged (target, setup or meshproof itself failed)
  4  nothing was selected
  130, 143, 129  stopped by SIGINT, SIGTERM or SIGHUP, after clean-up";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios and give each a verdict with evidence.
    Run(Box<RunArgs>),
    /// List scenarios.
    List(ListArgs),
    /// Check suite files without running them.
    Lint(LintArgs),
    /// Describe what scenarios claim, do and require.
    Explain(ExplainArgs),
    /// Manage targets that stay up between runs.
    Target(TargetArgs),
    /// Report what this machine is missing for a target, and how to get it. Exit code 3 if
    /// anything is missing.
    Doctor(DoctorArgs),
    /// Build or inspect the binaries that the local target runs.
    Toolchain(ToolchainArgs),
    /// Render the reports of a finished or interrupted run again from its event log.
    ///
    /// Without file flags, every report in DIR is written again, byte for byte as the run did. `-`
    /// in place of FILE writes to stdout.
    Report(ReportArgs),
    /// Write container images for machines without a registry, for `scripts/kind-offline`.
    #[command(hide = true)]
    Image(ImageArgs),
    /// Break the mesh in every known way and print which scenarios detect it.
    Mutate(MutateArgs),
    /// Print the JSON Schema of suite files.
    Schema,
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page (roff).
    Man,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// When to colour output (default: auto). `auto`: on a terminal, unless NO_COLOR is set or
    /// TERM is `dumb`.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        help_heading = "Output"
    )]
    pub color: Option<ColorChoice>,
    /// Print each step of each scenario. RUST_LOG is for developers.
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "quiet",
        help_heading = "Output"
    )]
    pub verbose: bool,
    /// Print only unexpected results and the summary.
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// Suite files or folders.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Suite files, folders or scenario ids.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Shell to write the script for.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
