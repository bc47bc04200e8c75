//! `meshproof run`.

use std::path::PathBuf;

use clap::Args;

use super::MeshArgs;
use crate::{
    output::Format,
    run::context::IsolationMode,
    scenario::shard::Shard,
    seed::Seed,
    targets::{TargetKind, keep::Keep},
};

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub target: RunTargetArgs,
    #[command(flatten)]
    pub execution: ExecutionArgs,
    /// Directory for reports and evidence (default: meshproof-report).
    #[arg(long, value_name = "DIR", env = crate::env::REPORT_DIR, help_heading = "Reports")]
    pub report_dir: Option<PathBuf>,
    /// Output format of the result on stdout.
    #[arg(
        short,
        long,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    pub output: Format,
}

/// Which scenarios to run.
#[derive(Debug, Clone, Args)]
pub struct SelectionArgs {
    /// Suite files, folders, scenario ids or globs over ids (default: every built-in scenario).
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Only scenarios with these labels, e.g. `area=routing,level=core`.
    #[arg(
        short = 'l',
        long,
        value_name = "KEY=VALUE",
        help_heading = "Selection"
    )]
    pub selector: Option<String>,
    /// Only scenarios that prove these requirement ids, e.g. `B1,T3`.
    #[arg(
        long,
        value_name = "ID",
        value_delimiter = ',',
        help_heading = "Selection"
    )]
    pub proves: Vec<String>,
    /// Run one part of the selection, e.g. `2/5`; the parts are disjoint and together complete.
    #[arg(long, value_name = "N/M", help_heading = "Selection")]
    pub shard: Option<Shard>,
    /// Plan and print what would run and what would be skipped; change nothing.
    #[arg(long, help_heading = "Selection")]
    pub dry_run: bool,
}

/// Where to run scenarios.
#[derive(Debug, Clone, Args)]
pub struct RunTargetArgs {
    /// Target to run on (default: local).
    #[arg(long, value_enum, value_name = "KIND", env = crate::env::TARGET, help_heading = "Target")]
    pub target: Option<TargetKind>,
    /// Name of a target kept up by `meshproof target up`.
    #[arg(long, value_name = "NAME", env = crate::env::NAME, help_heading = "Target")]
    pub name: Option<String>,
    /// Context of the kubeconfig; required with `--target cluster`.
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    pub context: Option<String>,
    /// Run the credential plugin that the kubeconfig names (`exec`); only with `--target cluster`.
    #[arg(long, env = crate::env::ALLOW_EXEC_PLUGINS, help_heading = "Target")]
    pub allow_exec_plugins: bool,
    /// Version of Envoy, e.g. `1.39.3`.
    #[arg(long, value_name = "VERSION", env = crate::env::ENVOY, help_heading = "Target")]
    pub envoy: Option<String>,
    /// Image of the local target: a name, the directory with its files, and optionally its
    /// entrypoint. Repeatable.
    #[arg(
        long = "image",
        value_name = "NAME=DIR[,ENTRYPOINT…]",
        help_heading = "Target"
    )]
    pub images: Vec<String>,
    /// Install the mesh of a local target anew, instead of starting from a snapshot of the last
    /// installation.
    #[arg(long, help_heading = "Target")]
    pub fresh: bool,
    #[command(flatten)]
    pub mesh: MeshArgs,
    /// When to keep what the run created (default: never).
    #[arg(long, value_enum, value_name = "WHEN", env = crate::env::KEEP, help_heading = "Target")]
    pub keep: Option<Keep>,
}

/// How to run scenarios.
#[derive(Debug, Clone, Args)]
pub struct ExecutionArgs {
    /// Number of scenarios to run at the same time (default: twice the number of CPU cores). Beside
    /// them, half as many run that only wait for timers, unless it is 1.
    #[arg(short, long, value_name = "N", env = crate::env::JOBS, value_parser = positive, help_heading = "Execution")]
    pub jobs: Option<usize>,
    /// Run each selected scenario N times (default: 1); each run has its own verdict.
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Execution")]
    pub repeat: Option<usize>,
    /// Factor for every timeout, from 0.1 to 100 (default: 1); use 3 for a slow cluster.
    #[arg(long, value_name = "FACTOR", value_parser = scale, help_heading = "Execution")]
    pub timeout_scale: Option<f64>,
    /// Seed of all randomness in meshproof, printed in every report (default: random).
    #[arg(long, value_name = "SEED", env = crate::env::SEED, help_heading = "Execution")]
    pub seed: Option<Seed>,
    /// Whether scenarios may use namespaces and pods one after the other (default: shared).
    #[arg(long, value_enum, value_name = "MODE", env = crate::env::ISOLATION, help_heading = "Execution")]
    pub isolation: Option<IsolationMode>,
    /// Start no further scenario after the first unexpected verdict.
    #[arg(long, help_heading = "Execution")]
    pub fail_fast: bool,
    /// Largest probability that one statistical check refutes a true claim (default: 1e-6).
    #[arg(long, value_name = "P", value_parser = error_rate, help_heading = "Execution")]
    pub alpha: Option<f64>,
    /// Largest probability that one statistical check accepts a claim that is off by its stated
    /// effect (default: 1e-6).
    #[arg(long, value_name = "P", value_parser = error_rate, help_heading = "Execution")]
    pub beta: Option<f64>,
    /// Break the mesh by the named mutation, to see whether exactly the scenarios concerned detect
    /// it.
    #[arg(long, value_name = "NAME", hide = true)]
    pub mutate: Option<String>,
}

/// An error for a value out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrongValue {
    #[error("must be a whole number above 0")]
    Number,
    #[error("must be a probability between 0 and 0.5, e.g. 1e-6")]
    ErrorRate,
    #[error("must be a number from 0.1 to 100, e.g. 3")]
    Scale,
}

fn positive(text: &str) -> Result<usize, WrongValue> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or(WrongValue::Number)
}

fn error_rate(text: &str) -> Result<f64, WrongValue> {
    let rate = text.parse().ok().filter(|rate| 0.0 < *rate && *rate < 0.5);
    rate.ok_or(WrongValue::ErrorRate)
}

pub(super) fn scale(text: &str) -> Result<f64, WrongValue> {
    let factor = text.parse().ok();
    let factor = factor.filter(|factor| (0.1..=100.0).contains(factor));
    factor.ok_or(WrongValue::Scale)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1e-6", true)]
    #[case("0", false)]
    #[case("0.5", false)]
    #[case("NaN", false)]
    fn error_rates_are_small_probabilities(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(error_rate(text).is_ok(), accepted);
    }

    #[rstest]
    #[case("0.1", true)]
    #[case("3", true)]
    #[case("100", true)]
    #[case("0.09", false)]
    #[case("101", false)]
    #[case("-1", false)]
    #[case("inf", false)]
    #[case("NaN", false)]
    #[case("2x", false)]
    fn deadlines_are_stretched_by_a_sane_factor(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(scale(text).is_ok(), accepted);
    }
}
