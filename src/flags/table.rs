//! Properties of every flag of `run`: which targets support it, what a kept mesh has to match, and
//! which commands repeat it.
//!
//! A flag that is added to `cli::RunArgs` has to be added here: a test compares the two.

use crate::targets::TargetKind::{self, Cluster, Kind, Local};

/// One flag of `run` (and of the commands that share it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its clap id: the name of its field.
    pub id: &'static str,
    /// Targets that support it.
    pub targets: &'static [TargetKind],
    pub concerns: Concerns,
    pub again: Repeats,
    pub value: Value,
}

/// What a flag determines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// The run: the flag applies to a kept mesh as to a new one.
    Run,
    /// How target and mesh are made: on a kept mesh, the flag must match what that was made with.
    Mesh,
}

/// Which of the commands that reproduce a run repeat a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// The command for the run and those for its scenarios.
    Always,
    /// Only the command for the run: the flag selects scenarios, or sets how many run at a time
    /// and how often.
    Run,
    /// None: the flag sets where and how results are shown, or is written in another way (paths,
    /// seed).
    Never,
}

/// What a value contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A plain value, or none.
    Word,
    /// Possibly the path of a local file.
    File,
    /// `NAME=DIR[,…]`.
    Image,
}

const ALL: &[TargetKind] = &[Local, Kind, Cluster];

const fn flag(
    id: &'static str,
    targets: &'static [TargetKind],
    concerns: Concerns,
    again: Repeats,
    value: Value,
) -> Flag {
    Flag {
        id,
        targets,
        concerns,
        again,
        value,
    }
}

/// Every flag of `run`.
pub const FLAGS: &[Flag] = &{
    use Concerns::{Mesh, Run};
    use Repeats::{Always, Never, Run as OfRun};
    use Value::{File, Image, Word};
    [
        flag("paths", ALL, Run, Never, Word),
        flag("selector", ALL, Run, OfRun, Word),
        flag("proves", ALL, Run, OfRun, Word),
        flag("shard", ALL, Run, OfRun, Word),
        flag("dry_run", ALL, Run, Never, Word),
        flag("target", ALL, Run, Always, Word),
        flag("name", &[Local, Kind], Run, Always, Word),
        flag("context", &[Cluster], Run, Always, Word),
        flag("allow_exec_plugins", &[Cluster], Run, Always, Word),
        flag("envoy", &[Local], Mesh, Always, Word),
        flag("images", &[Local], Mesh, Always, Image),
        flag("fresh", &[Local], Run, Always, Word),
        flag("istio", &[Kind], Mesh, Always, Word),
        flag("istioctl", &[Kind, Cluster], Run, Always, File),
        flag("hub", &[Kind], Mesh, Always, Word),
        flag("tag", &[Kind], Mesh, Always, Word),
        flag("profile", &[Kind], Mesh, Always, Word),
        flag("nodes", &[Kind], Mesh, Always, File),
        flag("node_image", &[Kind], Mesh, Always, Word),
        flag("image_archives", &[Kind], Run, Always, File),
        flag("registry_mirrors", &[Kind], Mesh, Always, Word),
        flag("testbed_image", &[Cluster], Run, Always, Word),
        flag("keep", ALL, Run, Always, Word),
        flag("jobs", ALL, Run, OfRun, Word),
        flag("repeat", ALL, Run, OfRun, Word),
        flag("timeout_scale", ALL, Run, Always, Word),
        flag("seed", ALL, Run, Never, Word),
        flag("isolation", ALL, Run, Always, Word),
        flag("fail_fast", ALL, Run, OfRun, Word),
        flag("alpha", ALL, Run, Always, Word),
        flag("beta", ALL, Run, Always, Word),
        flag("mutate", ALL, Run, Always, Word),
        flag("report_dir", ALL, Run, Never, Word),
        flag("output", ALL, Run, Never, Word),
        flag("color", ALL, Run, Never, Word),
        flag("verbose", ALL, Run, Never, Word),
        flag("quiet", ALL, Run, Never, Word),
    ]
};

/// The entry of a flag, by its clap id.
pub fn find(id: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.id == id)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// The flags that not every target supports, as a table.
    fn table() -> String {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").expect("run");
        let mut table = "| flag | local | kind | cluster | with a kept mesh |\n| --- | --- | --- | --- | --- |\n".to_owned();
        for flag in FLAGS.iter().filter(|flag| flag.targets != ALL) {
            let mut all = run.get_arguments().chain(cli.get_arguments());
            let arg = all.find(|arg| arg.get_id() == flag.id).expect(flag.id);
            let long = arg.get_long().expect(flag.id);
            let honours = |target| match flag.targets.contains(&target) {
                true => "yes",
                false => "error",
            };
            let kept = match flag.concerns {
                Concerns::Run => "applied",
                Concerns::Mesh => "must match the kept mesh",
            };
            let (local, kind, cluster) = (honours(Local), honours(Kind), honours(Cluster));
            writeln!(
                table,
                "| `--{long}` | {local} | {kind} | {cluster} | {kept} |"
            )
            .unwrap();
        }
        table
    }

    /// `INSTA_UPDATE=always cargo test --lib flags::table` regenerates it.
    #[test]
    fn the_documentation_says_who_honours_a_flag() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/targets.md");
        let mut text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once("<!-- flags -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end of flags -->\n").unwrap();
        let expected = format!(
            "{before}<!-- flags -->\n{}<!-- end of flags -->\n{after}",
            table()
        );
        if std::env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
            std::fs::write(path, &expected).unwrap();
            text.clone_from(&expected);
        }
        assert!(
            text == expected,
            "docs/targets.md is stale: run with INSTA_UPDATE=always"
        );
    }
}
