//! Resolves flags once: defaults < environment < flags → one immutable [`Settings`].

use std::path::PathBuf;

use clap::ArgMatches;

use crate::{
    cli::{self, GlobalArgs, MeshArgs, RunArgs},
    flags::given::Given,
    mesh::istio::profile::Profile,
    output::{ColorChoice, Format},
    run::context::IsolationMode,
    scenario::shard::Shard,
    seed::Seed,
    targets::{
        TargetKind,
        keep::Keep,
        kind::{MadeOf, Mirror},
    },
    verdict::Rates,
};

/// Probability that a statistical check refutes a true claim, and that it accepts a false one,
/// unless a flag sets another.
pub const ERROR_RATE: f64 = 1e-6;

/// Everything that determines a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub selection: Selection,
    pub target: TargetSettings,
    pub execution: ExecutionSettings,
    pub rates: Rates,
    pub seed: Seed,
    /// Name of the mutation that breaks the mesh.
    pub mutate: Option<String>,
    pub output: OutputSettings,
    /// The flags, as they were given.
    pub given: Vec<Given>,
}

/// Which scenarios to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub paths: Vec<PathBuf>,
    /// Labels, as `area=routing,level=core`.
    pub labels: Option<String>,
    /// Ids of requirements.
    pub proves: Vec<String>,
    pub shard: Option<Shard>,
    /// The scenarios are only planned.
    pub dry_run: bool,
}

/// Where scenarios run, and what stays there afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSettings {
    pub kind: TargetKind,
    /// Name of a kept target; `None`: the run creates its own target.
    pub name: Option<String>,
    pub context: Option<String>,
    /// The credential plugin of a kubeconfig may be run.
    pub allow_exec_plugins: bool,
    pub envoy: Option<String>,
    /// `NAME=DIR[,ENTRYPOINT…]` each.
    pub images: Vec<String>,
    /// No snapshot is used or kept.
    pub fresh: bool,
    pub mesh: MeshSettings,
    pub keep: Keep,
}

/// How a kind cluster and its Istio are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeshSettings {
    /// Version that istioctl must have.
    pub istio: Option<String>,
    pub istioctl: Option<PathBuf>,
    pub hub: Option<String>,
    pub tag: Option<String>,
    pub profile: Option<Profile>,
    /// `single`, `multi`, or a kind configuration file.
    pub nodes: Option<String>,
    pub node_image: Option<String>,
    pub image_archives: Vec<PathBuf>,
    pub registry_mirrors: Vec<Mirror>,
    /// Name under which an existing cluster can pull the test bed's image.
    pub testbed_image: Option<String>,
}

/// How many scenarios run at a time, how often, and how timeouts are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExecutionSettings {
    pub jobs: usize,
    pub repeat: usize,
    pub fail_fast: bool,
    /// Factor for all timeouts.
    pub timeout_scale: f64,
    pub isolation: IsolationMode,
}

/// What is printed, and what is written to files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSettings {
    pub report_dir: Option<PathBuf>,
    pub format: Format,
    pub verbose: bool,
    pub quiet: bool,
    pub color: Option<ColorChoice>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("--target cluster needs --context: name a context of your kubeconfig")]
    ContextMissing,
    #[error(
        "{given} can't be honoured by --target {target}: it is for {targets}. Leave it out{unset}, or set --target"
    )]
    Target {
        given: String,
        target: &'static str,
        targets: String,
        /// The remedy for a variable.
        unset: String,
    },
}

impl Settings {
    /// Creates the settings from the arguments of `run`. `matches` are those of the subcommand.
    ///
    /// # Errors
    /// Flags that contradict each other.
    pub fn from_run(
        args: RunArgs,
        global: &GlobalArgs,
        matches: &ArgMatches,
    ) -> Result<Self, SettingsError> {
        let given = cli::given(&["run"], matches);
        let RunArgs {
            selection,
            target,
            execution,
            report_dir,
            output,
        } = args;
        let kind = target.target.unwrap_or_default();
        check_target(&given, kind)?;
        if kind == TargetKind::Cluster && target.context.is_none() {
            return Err(SettingsError::ContextMissing);
        }
        Ok(Self {
            selection: Selection {
                paths: selection.paths,
                labels: selection.selector,
                proves: selection.proves,
                shard: selection.shard,
                dry_run: selection.dry_run,
            },
            target: TargetSettings {
                kind,
                name: target.name,
                context: target.context,
                allow_exec_plugins: target.allow_exec_plugins,
                envoy: target.envoy,
                images: target.images,
                fresh: target.fresh,
                mesh: target.mesh.into(),
                keep: target.keep.unwrap_or_default(),
            },
            execution: ExecutionSettings {
                jobs: execution.jobs.unwrap_or_else(default_jobs),
                repeat: execution.repeat.unwrap_or(1),
                fail_fast: execution.fail_fast,
                timeout_scale: execution.timeout_scale.unwrap_or(1.0),
                isolation: execution.isolation.unwrap_or_default(),
            },
            rates: Rates {
                alpha: execution.alpha.unwrap_or(ERROR_RATE),
                beta: execution.beta.unwrap_or(ERROR_RATE),
            },
            seed: execution.seed.unwrap_or_else(Seed::random),
            mutate: execution.mutate,
            output: OutputSettings {
                report_dir,
                format: output,
                verbose: global.verbose,
                quiet: global.quiet,
                color: global.color,
            },
            given,
        })
    }
}

impl TargetSettings {
    /// How the mesh is installed, for the report: `full`, `stock`, or `existing`.
    pub fn profile(&self) -> &'static str {
        match self.kind {
            TargetKind::Local => Profile::Stock.name(),
            TargetKind::Kind => self.mesh.profile.unwrap_or_default().name(),
            TargetKind::Cluster => "existing",
        }
    }
}

impl From<MeshArgs> for MeshSettings {
    fn from(args: MeshArgs) -> Self {
        Self {
            istio: args.istio,
            istioctl: args.istioctl,
            hub: args.hub,
            tag: args.tag,
            profile: args.profile,
            nodes: args.nodes,
            node_image: args.node_image,
            image_archives: args.image_archives,
            registry_mirrors: args.registry_mirrors,
            testbed_image: args.testbed_image,
        }
    }
}

impl From<&MeshSettings> for MadeOf {
    fn from(mesh: &MeshSettings) -> Self {
        let mirrors = mesh.registry_mirrors.iter();
        let mirrors: Vec<String> = mirrors.map(ToString::to_string).collect();
        Self::from([
            ("istio", mesh.istio.clone()),
            ("hub", mesh.hub.clone()),
            ("tag", mesh.tag.clone()),
            (
                "profile",
                mesh.profile.map(|profile| profile.name().to_owned()),
            ),
            ("nodes", mesh.nodes.clone()),
            ("node-image", mesh.node_image.clone()),
            (
                "registry-mirror",
                (!mirrors.is_empty()).then(|| mirrors.join(" ")),
            ),
        ])
    }
}

/// Checks that the target supports every flag and variable that was given
/// ([`crate::flags::table`]).
///
/// # Errors
/// [`SettingsError::Target`] for the first one that it does not support.
pub fn check_target(given: &[Given], target: TargetKind) -> Result<(), SettingsError> {
    let wrong = given.iter().find_map(|given| {
        let targets = given.entry()?.targets;
        (!targets.contains(&target)).then_some((given, targets))
    });
    let Some((given, targets)) = wrong else {
        return Ok(());
    };
    let names = targets
        .iter()
        .map(|kind| format!("--target {}", kind.name()));
    let unset = given.variable.as_ref();
    Err(SettingsError::Target {
        given: given.to_string(),
        target: target.name(),
        targets: names.collect::<Vec<_>>().join(" and "),
        unset: unset.map_or_else(String::new, |name| format!(" (unset {name})")),
    })
}

/// Scenarios mostly wait for the mesh, hence twice the number of cores.
fn default_jobs() -> usize {
    2 * std::thread::available_parallelism().map_or(1, usize::from)
}

/// A valid value of each flag, for tests that try all of them.
#[cfg(test)]
pub(crate) fn example(id: &str) -> &'static str {
    match id {
        "proves" => "B1",
        "shard" => "1/2",
        "target" => "local",
        "jobs" | "repeat" | "seed" | "timeout_scale" => "3",
        "alpha" | "beta" => "1e-3",
        "keep" => "failed",
        "isolation" => "private",
        "profile" => "stock",
        "output" => "json",
        "color" => "never",
        "images" => "local/x:dev=/srv/x,/x",
        "registry_mirrors" => "docker.io=http://localhost:5000",
        "selector" => "area=routing",
        _ => "given",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory as _, FromArgMatches as _};
    use rstest::rstest;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        flags::table,
    };

    /// The settings of `meshproof run FLAGS`, independent of the environment of the test run.
    fn settings(flags: &[&str]) -> Result<Settings, SettingsError> {
        let command = Cli::command().mut_subcommand("run", |run| run.mut_args(|arg| arg.env(None)));
        let matches = command.get_matches_from(["meshproof", "run"].iter().chain(flags));
        let cli = Cli::from_arg_matches(&matches).expect("matches of the same definition");
        let Command::Run(args) = cli.command else {
            panic!("not the run command");
        };
        let own = matches.subcommand_matches("run").expect("run");
        Settings::from_run(*args, &cli.global, own)
    }

    #[test]
    fn defaults_need_no_flag() {
        let settings = settings(&[]).expect("no flags are valid");
        assert_eq!(
            (settings.target.kind, settings.target.keep),
            (TargetKind::Local, Keep::Never)
        );
        let (execution, rates) = (settings.execution, settings.rates);
        assert_eq!((rates.alpha, rates.beta), (ERROR_RATE, ERROR_RATE));
        assert!(execution.jobs >= 2);
        assert_eq!((execution.repeat, execution.timeout_scale), (1, 1.0));
        assert!(settings.given.is_empty(), "{:?}", settings.given);
    }

    #[test]
    fn flags_win_and_are_remembered() {
        let settings =
            settings(&["-j", "3", "--keep", "failed", "--seed", "7", "a.yaml"]).expect("valid");
        assert_eq!(
            (settings.execution.jobs, settings.target.keep, settings.seed),
            (3, Keep::Failed, Seed::new(7))
        );
        let given: Vec<String> = settings.given.iter().map(ToString::to_string).collect();
        assert_eq!(given, ["a.yaml", "--keep failed", "--jobs 3", "--seed 7"]);
    }

    /// Compares clap's own definition of `run` with the table.
    #[test]
    fn every_flag_of_run_says_what_it_is_for() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").expect("run");
        let own = run.get_arguments().chain(cli.get_arguments());
        let defined: BTreeSet<&str> = own
            .map(|arg| arg.get_id().as_str())
            .filter(|id| !["help", "version"].contains(id))
            .collect();
        let reported: BTreeSet<&str> = table::FLAGS.iter().map(|flag| flag.id).collect();
        assert_eq!(defined, reported);
        assert_eq!(reported.len(), table::FLAGS.len(), "one entry each");
    }

    #[test]
    fn each_target_takes_its_flags_and_refuses_all_others() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").expect("run");
        let mut tried = 0;
        for target in [TargetKind::Local, TargetKind::Kind, TargetKind::Cluster] {
            for arg in run.get_arguments() {
                let id = arg.get_id().as_str();
                let Some(long) = arg.get_long().filter(|long| *long != "help") else {
                    continue;
                };
                if id == "target" {
                    continue;
                }
                let flag = format!("--{long}");
                let mut args = vec!["--target", target.name(), &flag];
                if arg.get_action().takes_values() {
                    args.push(example(id));
                }
                if target == TargetKind::Cluster && id != "context" {
                    args.extend(["--context", "existing"]);
                }
                let fits = table::find(id)
                    .expect("in the table")
                    .targets
                    .contains(&target);
                match settings(&args) {
                    Ok(_) => assert!(fits, "{args:?} was accepted"),
                    Err(error) => {
                        assert!(!fits, "{args:?}: {error}");
                        let reported = error.to_string();
                        let named = reported.contains(&flag) && reported.contains(target.name());
                        assert!(named, "{args:?}: {reported}");
                    }
                }
                tried += 1;
            }
        }
        assert!(tried > 80, "{tried}");
    }

    #[rstest]
    #[case(&["--target", "cluster"], "--target cluster needs --context")]
    #[case(&["--context", "prod"], "--context prod can't be honoured by --target local: it is for --target cluster")]
    #[case(&["--target", "kind", "--envoy", "1.39.3"], "--envoy 1.39.3 can't be honoured by --target kind: it is for --target local")]
    #[case(&["--istioctl", "/x"], "it is for --target kind and --target cluster")]
    fn what_contradicts_is_told(#[case] flags: &[&str], #[case] expected: &str) {
        let reported = settings(flags).expect_err("a contradiction").to_string();
        assert!(reported.contains(expected), "{reported}");
    }

    #[test]
    fn a_variable_is_named_as_such() {
        let given = Given {
            id: "istio".into(),
            flag: "--istio".into(),
            values: vec!["1.28.0".into()],
            variable: Some(crate::env::ISTIO.into()),
        };
        let reported = check_target(&[given], TargetKind::Local)
            .expect_err("rejected")
            .to_string();
        assert!(
            reported.starts_with("MESHPROOF_ISTIO=1.28.0 can't")
                && reported.contains("unset MESHPROOF_ISTIO"),
            "{reported}"
        );
    }
}
