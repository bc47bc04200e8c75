//! Checks what flags request before anything starts: values must be valid, and a kept mesh must
//! match.

use clap::ArgMatches;

use super::{CommandError, provision};
use crate::{
    cli::{self, TargetUp},
    errors::chain,
    flags::given::Given,
    settings::{MeshSettings, check_target},
    targets::{
        TargetKind, cluster,
        kind::{MadeOf, Record},
        local::world::launch::World,
    },
    toolchain::{self, EnvoyVersion},
};

/// Checks that `target up` supports every flag that it was given. `matches` are those of the
/// subcommand.
///
/// # Errors
/// [`CommandError`] for the first flag that is not supported.
pub fn target_up(args: &TargetUp, matches: &ArgMatches) -> Result<(), CommandError> {
    let given = cli::given(&["target", "up"], matches);
    let target = args.target.unwrap_or_default();
    check_target(&given, target)?;
    let asked = RequestedTarget {
        target,
        name: Some(&args.which.name),
        context: None,
        mesh: &args.mesh.clone().into(),
        given: &given,
    };
    match target {
        // A new target is made as the flags say; an existing one of this name is reported later.
        TargetKind::Local => asked.values(),
        _ => asked.check(),
    }
}

/// The target that flags request.
pub struct RequestedTarget<'a> {
    pub target: TargetKind,
    pub name: Option<&'a str>,
    pub context: Option<&'a str>,
    pub mesh: &'a MeshSettings,
    pub given: &'a [Given],
}

impl RequestedTarget<'_> {
    /// Checks everything that can be known without touching the target. A run uses a kept mesh, so
    /// its flags have to match that mesh.
    ///
    /// # Errors
    /// [`CommandError::Usage`], with the flag or the variable as it was given.
    pub fn check(&self) -> Result<(), CommandError> {
        self.values()?;
        match (self.target, self.name) {
            (TargetKind::Local, Some(name)) => self.local(name),
            (TargetKind::Local, None) => Ok(()),
            (TargetKind::Kind, name) => {
                provision::check_words(name, self.mesh)?;
                name.and_then(Record::find).map_or(Ok(()), |record| {
                    let agrees = record
                        .made_of
                        .agrees(&MadeOf::from(self.mesh), &record.name);
                    agrees.map_err(|error| CommandError::usage(&error))
                })
            }
            (TargetKind::Cluster, _) => {
                let known = self.context.map_or(Ok(()), cluster::check);
                known.map_err(|error| CommandError::usage(&error))
            }
        }
    }

    /// Checks for values that are invalid on every target.
    ///
    /// # Errors
    /// [`CommandError::Usage`].
    pub fn values(&self) -> Result<(), CommandError> {
        for given in self.given {
            for word in given.to_args() {
                let wrong = match given.id.as_str() {
                    "envoy" => word.parse::<EnvoyVersion>().err().map(|e| chain(&e)),
                    "images" => toolchain::stock::from_option(&word)
                        .err()
                        .map(|e| chain(&e)),
                    _ => None,
                };
                if let Some(message) = wrong {
                    return Err(CommandError::Usage(format!("{given}: {message}")));
                }
            }
        }
        Ok(())
    }

    fn local(&self, name: &str) -> Result<(), CommandError> {
        let world = World::find(name).map_err(|error| CommandError::usage(&error))?;
        agrees(
            self.given,
            name,
            &world.spec.envoy_version,
            &world.spec.images,
        )
    }
}

/// Checks that the local target of this name runs this Envoy and has these images.
fn agrees(given: &[Given], name: &str, envoy: &str, images: &[String]) -> Result<(), CommandError> {
    for given in given {
        let has = match given.id.as_str() {
            "envoy" => {
                let same = |word: &String| {
                    word.parse::<EnvoyVersion>()
                        .is_ok_and(|asked| asked.to_string() == envoy)
                };
                (!given.to_args().iter().all(same)).then(|| format!("runs Envoy {envoy}"))
            }
            "images" => {
                let known = |word: &String| images.contains(word);
                let has = match images {
                    [] => "no images from --image".to_owned(),
                    all => format!("the images {}", all.join(" ")),
                };
                (!given.to_args().iter().all(known)).then(|| format!("has {has}"))
            }
            _ => None,
        };
        if let Some(has) = has {
            return Err(CommandError::Usage(format!(
                "{given} can't be honoured: the local target {name}, which is kept, {has}; leave the flag out, or bring up another target with it \
                 (meshproof target up --name OTHER)"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn given(id: &str, flag: &str, value: &str) -> Given {
        Given {
            id: id.into(),
            flag: flag.into(),
            values: vec![value.into()],
            variable: None,
        }
    }

    #[rstest]
    #[case(given("envoy", "--envoy", "1.39.3"), None)]
    #[case(given("envoy", "--envoy", "v1.39"), None)]
    #[case(
        given("envoy", "--envoy", "1.36.2"),
        Some(
            "--envoy 1.36.2 can't be honoured: the local target ux, which is kept, runs Envoy 1.39.3"
        )
    )]
    #[case(given("images", "--image", "a=/x"), None)]
    #[case(given("images", "--image", "a=/y"), Some("has the images a=/x"))]
    #[case(given("jobs", "--jobs", "3"), None)]
    fn a_kept_mesh_is_what_it_is(#[case] given: Given, #[case] reported: Option<&str>) {
        let agreed = agrees(&[given], "ux", "1.39.3", &["a=/x".to_owned()]);
        let error = agreed.err().map(|error| error.to_string());
        assert_eq!(error.is_some(), reported.is_some(), "{error:?}");
        assert!(
            error
                .unwrap_or_default()
                .contains(reported.unwrap_or_default())
        );
    }

    #[rstest]
    #[case(given("envoy", "--envoy", "1.2"), "--envoy 1.2: ")]
    #[case(given("images", "--image", "foo"), "--image foo: ")]
    #[case(given("images", "--image", "foo=/nope"), "--image foo=/nope: ")]
    fn values_that_are_none_are_wrong_usage(#[case] given: Given, #[case] reported: &str) {
        let asked = RequestedTarget {
            target: TargetKind::Local,
            name: None,
            context: None,
            mesh: &MeshSettings::default(),
            given: &[given],
        };
        let error = asked.check().expect_err("refused");
        assert!(error.to_string().starts_with(reported), "{error}");
        assert_eq!(error.exit(), crate::exit::Exit::Usage);
    }
}
