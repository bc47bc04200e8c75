//! Flags become decisions once: defaults < environment < flags → one immutable [`Settings`].

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::cli::{
    ColorChoice, Format, GlobalArgs, Keep, MeshArgs, Profile, RunArgs, ShardArg, TargetKind,
};

/// Chance that a statistical check refutes a true claim, and that it accepts a false one, unless a flag says otherwise.
pub const ERROR_RATE: f64 = 1e-6;

/// Name of a target when none is given.
pub const DEFAULT_NAME: &str = "default";

/// Everything that decides a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub paths: Vec<PathBuf>,
    pub selector: Option<String>,
    pub proves: Vec<String>,
    pub shard: Option<ShardArg>,
    pub dry_run: bool,
    pub target: TargetKind,
    /// Name of a kept target; `None`: one of the run's own.
    pub name: Option<String>,
    pub context: Option<String>,
    /// A kubeconfig's credential plugin may be run.
    pub allow_exec_plugins: bool,
    pub envoy: Option<String>,
    /// What a kind cluster and its Istio are made of.
    pub mesh: MeshArgs,
    /// `NAME=DIR[,ENTRYPOINT…]` each.
    pub images: Vec<String>,
    pub keep: Keep,
    pub jobs: usize,
    pub repeat: usize,
    pub seed: u64,
    pub fail_fast: bool,
    pub alpha: f64,
    pub beta: f64,
    pub mutate: Option<String>,
    pub report_dir: Option<PathBuf>,
    pub output: Format,
    pub verbose: bool,
    pub quiet: bool,
    pub color: Option<ColorChoice>,
    /// Where each value came from that was not a default, by flag name.
    pub provenance: BTreeMap<String, Origin>,
}

/// Who decided a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Environment,
    Flag,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error(
        "--target cluster needs --context: name the context of your kubeconfig that may be used"
    )]
    ContextMissing,
    #[error("--context is for --target cluster; the {0} target makes its own cluster")]
    ContextUnused(&'static str),
    #[error("--envoy and --image are for --target local; a {0} target runs what its images hold")]
    LocalOnly(&'static str),
}

impl Settings {
    /// Folds the arguments of `run`. `matches` are those of the subcommand.
    ///
    /// # Errors
    /// Flags that contradict each other.
    pub fn from_run(
        args: RunArgs,
        global: &GlobalArgs,
        matches: &ArgMatches,
    ) -> Result<Self, SettingsError> {
        let target = args.target.unwrap_or_default();
        check_target(&args, target)?;
        Ok(Self {
            paths: args.paths,
            selector: args.selector,
            proves: args.proves,
            shard: args.shard,
            dry_run: args.dry_run,
            target,
            name: args.name,
            context: args.context,
            allow_exec_plugins: args.allow_exec_plugins,
            envoy: args.envoy,
            mesh: args.mesh,
            images: args.images,
            keep: args.keep.unwrap_or_default(),
            jobs: args.jobs.unwrap_or_else(default_jobs),
            repeat: args.repeat.unwrap_or(1),
            seed: args.seed.unwrap_or_else(random_seed),
            fail_fast: args.fail_fast,
            alpha: args.alpha.unwrap_or(ERROR_RATE),
            beta: args.beta.unwrap_or(ERROR_RATE),
            mutate: args.mutate,
            report_dir: args.report_dir,
            output: args.output,
            verbose: global.verbose,
            quiet: global.quiet,
            color: global.color,
            provenance: provenance(matches),
        })
    }
}

impl Settings {
    /// How the mesh is installed, in a word for the report: `full`, `stock`, or `theirs`.
    pub fn profile(&self) -> &'static str {
        match self.target {
            TargetKind::Local => Profile::Stock.name(),
            TargetKind::Kind => self.mesh.profile.unwrap_or_default().name(),
            TargetKind::Cluster => "theirs",
        }
    }
}

fn check_target(args: &RunArgs, target: TargetKind) -> Result<(), SettingsError> {
    let kind = match target {
        TargetKind::Local => "local",
        TargetKind::Kind => "kind",
        TargetKind::Cluster => "cluster",
    };
    if target == TargetKind::Cluster && args.context.is_none() {
        return Err(SettingsError::ContextMissing);
    }
    if target != TargetKind::Cluster && args.context.is_some() {
        return Err(SettingsError::ContextUnused(kind));
    }
    if target != TargetKind::Local && (args.envoy.is_some() || !args.images.is_empty()) {
        return Err(SettingsError::LocalOnly(kind));
    }
    Ok(())
}

/// Scenarios mostly wait for the mesh, so twice the cores.
fn default_jobs() -> usize {
    2 * std::thread::available_parallelism().map_or(1, usize::from)
}

fn random_seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn provenance(matches: &ArgMatches) -> BTreeMap<String, Origin> {
    let origin = |id: &str| match matches.value_source(id)? {
        ValueSource::EnvVariable => Some(Origin::Environment),
        ValueSource::CommandLine => Some(Origin::Flag),
        _ => None,
    };
    matches
        .ids()
        .map(clap::Id::as_str)
        .filter(|id| id.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|id| Some((id.replace('_', "-"), origin(id)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};
    use rstest::rstest;

    use super::*;

    fn settings(flags: &[&str]) -> Result<Settings, SettingsError> {
        let command =
            RunArgs::augment_args(clap::Command::new("run")).mut_args(|arg| arg.env(None));
        let matches = command.get_matches_from(["run"].iter().chain(flags));
        let args = RunArgs::from_arg_matches(&matches).expect("matches of the same definition");
        Settings::from_run(args, &GlobalArgs::default(), &matches)
    }

    #[test]
    fn defaults_need_no_flag() {
        let settings = settings(&[]).expect("no flags are valid");
        assert_eq!(
            (settings.target, settings.keep, settings.repeat),
            (TargetKind::Local, Keep::Never, 1)
        );
        assert_eq!((settings.alpha, settings.beta), (ERROR_RATE, ERROR_RATE));
        assert!(settings.jobs >= 2);
        assert!(settings.provenance.is_empty(), "{:?}", settings.provenance);
    }

    #[test]
    fn flags_win_and_are_remembered() {
        let settings =
            settings(&["-j", "3", "--keep", "failed", "--seed", "7", "a.yaml"]).expect("valid");
        assert_eq!(
            (settings.jobs, settings.keep, settings.seed),
            (3, Keep::Failed, 7)
        );
        assert_eq!(settings.provenance.get("jobs"), Some(&Origin::Flag));
        assert_eq!(settings.provenance.get("alpha"), None);
    }

    #[rstest]
    #[case(&["--target", "cluster"], SettingsError::ContextMissing)]
    #[case(&["--context", "prod"], SettingsError::ContextUnused("local"))]
    #[case(&["--target", "kind", "--envoy", "1.39.3"], SettingsError::LocalOnly("kind"))]
    fn contradictions_are_refused(#[case] flags: &[&str], #[case] expected: SettingsError) {
        assert_eq!(settings(flags).err(), Some(expected));
    }
}
