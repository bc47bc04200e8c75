//! `meshproof doctor`: what is missing for a target, and how to get it.

use tokio::runtime::Runtime;

use super::CommandError;
use crate::{
    cli::{DoctorArgs, GlobalArgs},
    cluster::client::Plugins,
    doctor::{Report, Verbosity, cluster, kind, local, probe},
    exit::Exit,
    output::{self, Format, Palette},
    targets::TargetKind,
};

/// Exit code 0 if nothing is missing, else 3.
///
/// # Errors
/// Stdout cannot be written to.
pub fn run(args: &DoctorArgs, global: &GlobalArgs) -> Result<Exit, CommandError> {
    let target = args.target.unwrap_or_default();
    let runtime = Runtime::new().map_err(CommandError::other)?;
    let checks = match target {
        TargetKind::Local => local::checks(&runtime.block_on(probe::local())),
        TargetKind::Kind => {
            let expected = probe::Wanted {
                name: args.name.as_deref(),
                istio: args.istio.as_deref(),
                istioctl: args.istioctl.as_deref(),
            };
            kind::checks(&runtime.block_on(probe::kind(expected)))
        }
        TargetKind::Cluster => {
            let plugins = Plugins::when(args.allow_exec_plugins);
            let facts = probe::cluster(args.context.clone(), plugins);
            cluster::checks(&runtime.block_on(facts))
        }
    };
    let report = Report::new(target, checks);
    let printed = match args.output {
        Format::Json => output::json(&report),
        Format::Text => {
            let message = match (global.quiet, global.verbose) {
                (true, _) => Verbosity::Few,
                (_, true) => Verbosity::All,
                _ => Verbosity::Usual,
            };
            output::data(&report.text(Palette::stdout(global.color), message))
        }
    };
    printed.map_err(CommandError::Stdout)?;
    Ok(report.exit())
}
