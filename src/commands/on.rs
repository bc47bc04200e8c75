//! The target of a run: brought up or attached to, asked for what it is, and taken down again.

use super::{CommandError, bring, run::run_id};
use crate::{
    cli::{Keep, TargetKind},
    run::{lost, phases::Phases},
    settings::Settings,
    target::{Ready, cluster::Existing, kind::Kind, local::bring_up::Local},
};

/// A target that is up.
pub(super) enum On {
    Local(Box<Local>),
    Kind(Box<Kind>),
    Cluster(Box<Existing>),
}

impl On {
    /// Brings up what the settings ask for, or attaches to what is up under that name.
    ///
    /// # Errors
    /// Of whatever is missing or failed; nothing is left then.
    pub async fn open(settings: &Settings, phases: &Phases) -> Result<Self, CommandError> {
        match settings.target {
            TargetKind::Local => local(settings, phases).await.map(Self::Local),
            TargetKind::Kind => kind(settings, phases).await.map(Self::Kind),
            TargetKind::Cluster => bring::existing(settings).await.map(Self::Cluster),
        }
    }

    /// What the run needs of it.
    pub fn ready(&self) -> Ready {
        match self {
            Self::Local(local) => local.ready(),
            Self::Kind(kind) => kind.ready(),
            Self::Cluster(existing) => existing.ready(),
        }
    }

    /// Waits until the target ends by itself, with the reason.
    pub async fn ended(&mut self) -> String {
        match self {
            Self::Local(local) => local.world.ended().await.to_string(),
            Self::Kind(_) | Self::Cluster(_) => lost::gone(&self.ready().client).await,
        }
    }

    /// Nothing but what a run removes itself outlives the run.
    pub fn is_of_the_run(&self, settings: &Settings) -> bool {
        match self {
            Self::Local(_) => settings.name.is_none(),
            Self::Kind(kind) => kind.is_of_the_run(),
            Self::Cluster(_) => false,
        }
    }

    /// Takes down what the run brought up for itself, unless it is to stay.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub async fn close(self, settings: &Settings, phases: &Phases) -> Result<(), CommandError> {
        if !self.is_of_the_run(settings) || settings.keep == Keep::Always {
            return Ok(());
        }
        match self {
            Self::Local(local) => {
                let down = phases.time("tear-down", local.world.shut_down()).await;
                down.map_err(CommandError::other)
            }
            Self::Kind(kind) => {
                let down = phases.time("tear-down", kind.delete()).await;
                down.map_err(CommandError::other)
            }
            Self::Cluster(_) => Ok(()),
        }
    }
}

async fn local(settings: &Settings, phases: &Phases) -> Result<Box<Local>, CommandError> {
    let local = match &settings.name {
        Some(name) => Local::attach(name).await.map_err(CommandError::other),
        None => {
            let parts = bring::Parts {
                name: None,
                envoy: settings.envoy.as_deref(),
                images: &settings.images,
            };
            bring::local(&parts, phases).await
        }
    };
    local.map(Box::new)
}

async fn kind(settings: &Settings, phases: &Phases) -> Result<Box<Kind>, CommandError> {
    let own = || format!("meshproof-{}", run_id());
    let name = settings.name.clone().unwrap_or_else(own);
    let kept = settings.name.is_some() || settings.keep == Keep::Always;
    bring::kind(&name, kept, &settings.mesh, phases).await
}
