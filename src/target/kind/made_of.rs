//! What a kind cluster and its Istio were asked to be made of, flag by flag: on a cluster that is there already, a flag can only say what
//! that is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::KindError;
use crate::cli::MeshArgs;

/// Values by flag, without its dashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MadeOf(BTreeMap<String, String>);

/// Flags that a cluster is created with.
pub const CLUSTER: [&str; 3] = ["nodes", "node-image", "registry-mirror"];
/// Flags that Istio is installed with.
pub const ISTIO: [&str; 4] = ["istio", "hub", "tag", "profile"];

impl From<&MeshArgs> for MadeOf {
    fn from(args: &MeshArgs) -> Self {
        let mirrors = args.registry_mirrors.iter();
        let mirrors: Vec<String> = mirrors.map(ToString::to_string).collect();
        let given = [
            ("istio", args.istio.clone()),
            ("hub", args.hub.clone()),
            ("tag", args.tag.clone()),
            (
                "profile",
                args.profile.map(|profile| profile.name().to_owned()),
            ),
            ("nodes", args.nodes.clone()),
            ("node-image", args.node_image.clone()),
            (
                "registry-mirror",
                (!mirrors.is_empty()).then(|| mirrors.join(" ")),
            ),
        ];
        let given = given.into_iter();
        Self(
            given
                .filter_map(|(flag, value)| Some((flag.to_owned(), value?)))
                .collect(),
        )
    }
}

impl MadeOf {
    /// What of it concerns these flags.
    #[must_use]
    pub fn only(&self, flags: &[&str]) -> Self {
        let all = self
            .0
            .iter()
            .filter(|(flag, _)| flags.contains(&flag.as_str()));
        Self(
            all.map(|(flag, value)| (flag.clone(), value.clone()))
                .collect(),
        )
    }

    /// Adds what became of a flag, also where none was given.
    pub fn note(&mut self, flag: &str, value: &str) {
        self.0.insert(flag.to_owned(), value.to_owned());
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Every flag that is asked for says what the cluster of this name is made of.
    ///
    /// # Errors
    /// [`KindError::MadeOf`] of the first that does not.
    pub fn agrees(&self, asked: &Self, name: &str) -> Result<(), KindError> {
        let differs = |(flag, value): &(&String, &String)| self.0.get(*flag) != Some(*value);
        match asked.0.iter().find(differs) {
            None => Ok(()),
            Some((flag, value)) => Err(KindError::MadeOf {
                name: name.to_owned(),
                asked: format!("--{flag} {value}"),
                made: match self.0.get(flag) {
                    Some(other) => format!("is made with --{flag} {other}"),
                    None => format!("is not made with --{flag}"),
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use rstest::rstest;

    use super::*;
    use crate::{
        cli::TargetKind,
        cli::flags::{Concerns, FLAGS},
    };

    fn args(words: &[&str]) -> MadeOf {
        let command = MeshArgs::augment_args(clap::Command::new("x")).mut_args(|arg| arg.env(None));
        let matches = command.get_matches_from(["x"].iter().chain(words));
        let args = MeshArgs::from_arg_matches(&matches).expect("matches of the same definition");
        MadeOf::from(&args)
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&["--nodes", "multi", "--profile", "stock"], None)]
    #[case(&["--nodes", "single"], Some("--nodes single can't be honoured: the kind cluster mine is made with --nodes multi"))]
    #[case(&["--hub", "h"], Some("the kind cluster mine is not made with --hub"))]
    fn a_flag_can_only_say_what_is_there(#[case] words: &[&str], #[case] told: Option<&str>) {
        let made = args(&["--nodes", "multi", "--profile", "stock"]);
        let error = made
            .agrees(&args(words), "mine")
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.is_some(), told.is_some(), "{error:?}");
        assert!(error.unwrap_or_default().contains(told.unwrap_or_default()));
    }

    /// Every flag that concerns the mesh on kind is compared, also one that is added.
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
            let words = [
                format!("--{long}"),
                crate::settings::example(flag.id).to_owned(),
            ];
            let asked = args(&words.each_ref().map(String::as_str));
            assert!(MadeOf::default().agrees(&asked, "x").is_err(), "--{long}");
            assert!(CLUSTER.contains(&long) != ISTIO.contains(&long), "--{long}");
            compared += 1;
        }
        assert_eq!(compared, CLUSTER.len() + ISTIO.len());
    }
}
