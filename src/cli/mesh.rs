//! Flags for kind clusters and their Istio: shared by `run` and `target up`.

use std::path::PathBuf;

use clap::Args;

use crate::{mesh::istio::profile::Profile, targets::kind::Mirror};

/// Flags that concern clusters with container images.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Clusters (--target kind, --target cluster)")]
pub struct MeshArgs {
    /// Version of Istio, e.g. `1.31.1`; istioctl must be of this version.
    #[arg(long, value_name = "VERSION", env = crate::env::ISTIO)]
    pub istio: Option<String>,
    /// istioctl to install Istio with (default: the one in PATH, else the tool chain's).
    #[arg(long, value_name = "FILE", env = crate::env::ISTIOCTL)]
    pub istioctl: Option<PathBuf>,
    /// Registry and path of Istio's images (default: those of istioctl's release).
    #[arg(long, value_name = "HUB", env = crate::env::HUB)]
    pub hub: Option<String>,
    /// Tag of Istio's images (default: that of istioctl's release).
    #[arg(long, value_name = "TAG", env = crate::env::TAG)]
    pub tag: Option<String>,
    /// How Istio is installed (default: full).
    #[arg(long, value_enum, value_name = "PROFILE", env = crate::env::PROFILE)]
    pub profile: Option<Profile>,
    /// Nodes of a new kind cluster: `single`, `multi` (two workers; callers and servers run on
    /// different nodes), or a kind configuration file (default: single).
    #[arg(long, value_name = "NODES", env = crate::env::NODES)]
    pub nodes: Option<String>,
    /// Node image of a new kind cluster (default: kind's own).
    #[arg(long, value_name = "IMAGE", env = crate::env::NODE_IMAGE)]
    pub node_image: Option<String>,
    /// Image archive (docker save) to load into a kind cluster. Repeatable.
    #[arg(long = "image-archive", value_name = "FILE", env = crate::env::IMAGE_ARCHIVES, value_delimiter = ' ')]
    pub image_archives: Vec<PathBuf>,
    /// Registry that the nodes of a kind cluster pull through a mirror: `HOST=URL` names your
    /// mirror, `HOST` alone runs a caching mirror that is kept for the next cluster. Repeatable.
    #[arg(long = "registry-mirror", value_name = "HOST[=URL]", env = crate::env::REGISTRY_MIRRORS, value_delimiter = ' ')]
    pub registry_mirrors: Vec<Mirror>,
    /// Name under which an existing cluster can pull the test bed's image.
    #[arg(long, value_name = "IMAGE", env = crate::env::TESTBED_IMAGE)]
    pub testbed_image: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use rstest::rstest;

    use super::*;
    use crate::{
        flags::table::{Concerns, FLAGS},
        settings::MeshSettings,
        targets::{
            TargetKind,
            kind::{CLUSTER, ISTIO, MadeOf},
        },
    };

    fn args(arguments: &[&str]) -> MadeOf {
        let command = MeshArgs::augment_args(clap::Command::new("x")).mut_args(|arg| arg.env(None));
        let matches = command.get_matches_from(["x"].iter().chain(arguments));
        let args = MeshArgs::from_arg_matches(&matches).expect("matches of the same definition");
        MadeOf::from(&MeshSettings::from(args))
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&["--nodes", "multi", "--profile", "stock"], None)]
    #[case(&["--nodes", "single"], Some("--nodes single can't be honoured: the kind cluster mine was created with --nodes multi"))]
    #[case(&["--hub", "h"], Some("the kind cluster mine was created without --hub"))]
    fn a_flag_can_only_say_what_is_there(
        #[case] arguments: &[&str],
        #[case] reported: Option<&str>,
    ) {
        let made = args(&["--nodes", "multi", "--profile", "stock"]);
        let error = made
            .agrees(&args(arguments), "mine")
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.is_some(), reported.is_some(), "{error:?}");
        assert!(
            error
                .unwrap_or_default()
                .contains(reported.unwrap_or_default())
        );
    }

    /// Every flag that concerns the mesh on kind is compared, including one that is added later.
    #[test]
    fn every_flag_that_concerns_the_mesh_is_compared() {
        let command = MeshArgs::augment_args(clap::Command::new("x"));
        let of_mesh = FLAGS.iter().filter(|flag| {
            flag.concerns == Concerns::Mesh && flag.targets.contains(&TargetKind::Kind)
        });
        let mut compared = 0;
        for flag in of_mesh {
            let arg = command
                .get_arguments()
                .find(|arg| arg.get_id().as_str() == flag.id);
            let long = arg
                .and_then(clap::Arg::get_long)
                .expect("a flag of the group");
            let arguments = [
                format!("--{long}"),
                crate::settings::example(flag.id).to_owned(),
            ];
            let asked = args(&arguments.each_ref().map(String::as_str));
            assert!(MadeOf::default().agrees(&asked, "x").is_err(), "--{long}");
            assert!(CLUSTER.contains(&long) != ISTIO.contains(&long), "--{long}");
            compared += 1;
        }
        assert_eq!(compared, CLUSTER.len() + ISTIO.len());
    }
}
