//! `meshproof run`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::MeshArgs;
use crate::{output::Format, seed::Seed, targets::TargetKind};

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Suite files, folders, scenario ids or globs over ids; every built-in scenario when absent.
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
    pub shard: Option<ShardArg>,
    /// Plan and print what would run and what would be skipped; touch nothing.
    #[arg(long, help_heading = "Selection")]
    pub dry_run: bool,

    /// Where to run.
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
    /// Image of the local target: a name, the directory with its files, and optionally its entrypoint. Repeatable.
    #[arg(
        long = "image",
        value_name = "NAME=DIR[,ENTRYPOINT…]",
        help_heading = "Target"
    )]
    pub images: Vec<String>,
    #[command(flatten)]
    pub mesh: MeshArgs,
    /// What stays in the target after the run.
    #[arg(long, value_enum, value_name = "WHEN", env = crate::env::KEEP, help_heading = "Target")]
    pub keep: Option<Keep>,

    /// Scenarios at the same time.
    #[arg(short, long, value_name = "N", env = crate::env::JOBS, value_parser = positive, help_heading = "Execution")]
    pub jobs: Option<usize>,
    /// Run each selected scenario N times; each run has a verdict of its own.
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Execution")]
    pub repeat: Option<usize>,
    /// Seed of everything random in the harness; printed in every report.
    #[arg(long, value_name = "SEED", env = crate::env::SEED, help_heading = "Execution")]
    pub seed: Option<Seed>,
    /// Start nothing new after the first verdict that is not as expected.
    #[arg(long, help_heading = "Execution")]
    pub fail_fast: bool,
    /// Largest chance that one statistical check refutes a true claim.
    #[arg(long, value_name = "P", value_parser = error_rate, help_heading = "Execution")]
    pub alpha: Option<f64>,
    /// Largest chance that one statistical check accepts a claim that is off by its stated effect.
    #[arg(long, value_name = "P", value_parser = error_rate, help_heading = "Execution")]
    pub beta: Option<f64>,
    /// Break the mesh in one named way, to see whether exactly the scenarios concerned notice.
    #[arg(long, value_name = "NAME", hide = true)]
    pub mutate: Option<String>,

    /// Directory for reports and evidence.
    #[arg(long, value_name = "DIR", env = crate::env::REPORT_DIR, help_heading = "Reports")]
    pub report_dir: Option<PathBuf>,
    /// Form of the result on stdout.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Keep {
    #[default]
    Never,
    /// Namespaces of scenarios whose verdict is not as expected.
    Failed,
    Always,
}

/// `2/5`: the second of five parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardArg {
    /// From 1.
    pub index: usize,
    pub count: usize,
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, count)) if 1 <= index && index <= count => Ok(Self { index, count }),
            _ => Err("a shard is written N/M with 1 ≤ N ≤ M, e.g. 2/5".into()),
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("must be a whole number above 0".into()),
    }
}

fn error_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if p > 0.0 && p < 0.5 => Ok(p),
        _ => Err("must be a probability between 0 and 0.5, e.g. 1e-6".into()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1/1", Some((1, 1)))]
    #[case("2/5", Some((2, 5)))]
    #[case("0/5", None)]
    #[case("6/5", None)]
    #[case("2", None)]
    #[case("a/b", None)]
    fn shard_is_one_of_m(#[case] text: &str, #[case] expected: Option<(usize, usize)>) {
        let shard = text.parse::<ShardArg>().ok().map(|s| (s.index, s.count));
        assert_eq!(shard, expected);
    }

    #[rstest]
    #[case("1e-6", true)]
    #[case("0", false)]
    #[case("0.5", false)]
    #[case("NaN", false)]
    fn error_rates_are_small_probabilities(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(error_rate(text).is_ok(), accepted);
    }
}
