//! Finds a target that is up by the flags of `meshproof target`.

use kube::Client;

use super::CommandError;
use crate::{
    cli::TargetWhich,
    cluster::client::{self, ClientError, Plugins},
    errors::{Classified, ErrorClass},
    targets::{
        DEFAULT_NAME, TargetKind,
        cluster::{self, ExistingError},
        kind::{KindError, Record},
        local::world::launch::{World, WorldError},
    },
};

/// An error creating a client for a target's API server.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReachError {
    #[error(transparent)]
    Ours(#[from] ClientError),
    #[error(transparent)]
    Somebodys(#[from] ExistingError),
}

impl Classified for ReachError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Ours(error) => error.class(),
            Self::Somebodys(error) => error.class(),
        }
    }
}

/// A target, and how its API server is reached.
pub(super) enum Reached {
    Local(Box<World>),
    Kind(Record),
    /// An existing cluster, by the context of the kubeconfig.
    Cluster {
        context: String,
        plugins: Plugins,
    },
}

impl Reached {
    /// Finds the target that the flags name.
    ///
    /// # Errors
    /// [`CommandError::Usage`]: there is no such target, or more than one.
    pub fn find(which: &TargetWhich) -> Result<Self, CommandError> {
        let name = which.name.as_deref().unwrap_or(DEFAULT_NAME);
        let kind = match (which.target, &which.context) {
            (None | Some(TargetKind::Cluster), Some(context)) => {
                return Ok(Self::Cluster {
                    context: context.clone(),
                    plugins: Plugins::when(which.allow_exec_plugins),
                });
            }
            (Some(TargetKind::Cluster), None) => {
                let message = "--target cluster needs --context: name a context of your kubeconfig";
                return Err(CommandError::Usage(message.to_owned()));
            }
            (Some(kind), Some(_)) => {
                let kind = kind.name();
                return Err(CommandError::Usage(format!(
                    "--context is for --target cluster; select the {kind} target with --name"
                )));
            }
            (kind, None) => kind,
        };
        let (world, record) = (World::find(name), Record::find(name));
        match (kind, world, record) {
            (None, Ok(_), Some(_)) => Err(CommandError::Usage(format!(
                "a local target and a kind cluster are both called {name}: set --target local or --target kind"
            ))),
            (None | Some(TargetKind::Local), Ok(world), _) => Ok(Self::Local(Box::new(world))),
            (None | Some(TargetKind::Kind), _, Some(record)) => Ok(Self::Kind(record)),
            (Some(TargetKind::Kind), _, None) => {
                let name = name.to_owned();
                Err(CommandError::Usage(KindError::NotUp { name }.to_string()))
            }
            (_, Err(error @ (WorldError::NotUp { .. } | WorldError::Name(_))), _) => {
                Err(CommandError::usage(&error))
            }
            (_, Err(error), _) => Err(CommandError::of(error)),
            (Some(TargetKind::Cluster), Ok(_), _) => Err(CommandError::Usage(
                "--target cluster needs --context".to_owned(),
            )),
        }
    }

    /// Every target of this user that is up, except existing clusters, which are not recorded.
    pub fn all() -> Vec<Self> {
        let worlds = World::all()
            .into_iter()
            .map(|world| Self::Local(Box::new(world)));
        worlds
            .chain(Record::all().into_iter().map(Self::Kind))
            .collect()
    }

    /// Its name; for an existing cluster, the context.
    pub fn name(&self) -> &str {
        match self {
            Self::Local(world) => &world.spec.name,
            Self::Kind(record) => &record.name,
            Self::Cluster { context, .. } => context,
        }
    }

    /// `local`, `kind` or `cluster`.
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Local(_) => TargetKind::Local,
            Self::Kind(_) => TargetKind::Kind,
            Self::Cluster { .. } => TargetKind::Cluster,
        }
    }

    /// A client of its API server.
    ///
    /// # Errors
    /// [`ReachError`]: the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client, ReachError> {
        Ok(match self {
            Self::Local(world) => client::of(&world.spec.kubeconfig(), None).await?,
            Self::Kind(record) => client::of(&record.kubeconfig(), None).await?,
            Self::Cluster { context, plugins } => cluster::client(context, *plugins).await?.0,
        })
    }
}
