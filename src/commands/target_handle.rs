//! The target of a run: brought up or attached to, queried, and taken down again.

use std::path::PathBuf;

use super::{CommandError, provision};
use crate::{
    cluster::object::RUN_LABEL,
    event::phases::Phases,
    report::text::shell_word,
    run::target_lost,
    settings::Settings,
    targets::{
        TargetAccess, TargetKind,
        cluster::Existing,
        keep::Keep,
        kind::{KindCluster, Record},
        local::bring_up::Local,
    },
};

/// A target that is up.
pub(super) enum TargetHandle {
    Local(Box<Local>),
    Kind(Box<KindCluster>),
    Cluster(Box<Existing>),
}

impl TargetHandle {
    /// Brings up the target that the settings request, or attaches to the one of that name.
    ///
    /// # Errors
    /// For whatever is missing or failed; nothing is left behind then.
    pub async fn open(
        settings: &Settings,
        run_id: &str,
        phases: &Phases,
    ) -> Result<Self, CommandError> {
        match settings.target.kind {
            TargetKind::Local => local(settings, phases).await.map(Self::Local),
            TargetKind::Kind => kind(settings, run_id, phases).await.map(Self::Kind),
            TargetKind::Cluster => provision::existing(settings, run_id)
                .await
                .map(Self::Cluster),
        }
    }

    /// Removes what a cancelled [`Self::open`] has begun. A local world has ended with it; a kind
    /// cluster has not.
    ///
    /// # Errors
    /// kind failed: the cluster still exists.
    pub async fn abandon(settings: &Settings, run_id: &str) -> Result<(), CommandError> {
        let begun = match settings.target.kind {
            TargetKind::Kind => Record::find(&kind_name(settings, run_id)),
            TargetKind::Local | TargetKind::Cluster => None,
        };
        match begun {
            Some(record) if record.made && (record.profile.is_none() || !record.kept) => {
                let down = KindCluster::take_down(&record).await;
                down.map_err(CommandError::of)
            }
            _ => Ok(()),
        }
    }

    /// Commands that remove everything of a run, for a process that has to exit before its
    /// clean-up; none if nothing can stay.
    pub fn removal(&self, settings: &Settings, run_id: &str) -> Vec<String> {
        if self.is_ephemeral(settings) {
            return match self {
                Self::Kind(_) => {
                    let name = kind_name(settings, run_id);
                    vec![format!("meshproof target down --target kind --name {name}")]
                }
                _ => Vec::new(),
            };
        }
        let name = || match &settings.target.name {
            Some(name) => shell_word(name),
            None => kind_name(settings, run_id),
        };
        let file = |path: PathBuf| format!("--kubeconfig {}", shell_word(path));
        let (ours, theirs) = match self {
            Self::Local(local) => (
                format!("--target local --name {}", name()),
                file(local.world.spec.kubeconfig()),
            ),
            Self::Kind(kind) => (
                format!("--target kind --name {}", name()),
                file(kind.kubeconfig()),
            ),
            Self::Cluster(_) => {
                let context = shell_word(settings.target.context.as_deref().unwrap_or_default());
                let plugins = match settings.target.allow_exec_plugins {
                    true => " --allow-exec-plugins",
                    false => "",
                };
                (
                    format!("--target cluster --context {context}{plugins}"),
                    format!("--context {context}"),
                )
            }
        };
        vec![
            format!("meshproof target gc {ours} --run {run_id}"),
            format!("kubectl {theirs} delete namespace -l {RUN_LABEL}={run_id}"),
        ]
    }

    /// What the run needs to access the target.
    pub fn access(&self) -> TargetAccess {
        match self {
            Self::Local(local) => local.access(),
            Self::Kind(kind) => kind.access(),
            Self::Cluster(existing) => existing.access(),
        }
    }

    /// Waits until the target ends by itself, and returns the reason.
    pub async fn ended(&mut self) -> String {
        match self {
            Self::Local(local) => local.world.ended().await.to_string(),
            Self::Kind(_) | Self::Cluster(_) => target_lost::gone(&self.access().client).await,
        }
    }

    /// Returns whether the target was brought up for this run and ends with it.
    pub fn is_ephemeral(&self, settings: &Settings) -> bool {
        match self {
            Self::Local(_) => settings.target.name.is_none(),
            Self::Kind(kind) => kind.is_ephemeral(),
            Self::Cluster(_) => false,
        }
    }

    /// Takes down what the run brought up for itself, unless it is to be kept.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub async fn close(self, settings: &Settings, phases: &Phases) -> Result<(), CommandError> {
        if !self.is_ephemeral(settings) || settings.target.keep == Keep::Always {
            return Ok(());
        }
        match self {
            Self::Local(local) => {
                let down = phases.time("tear-down", local.world.shut_down()).await;
                down.map_err(CommandError::of)
            }
            Self::Kind(kind) => {
                let down = phases.time("tear-down", kind.delete()).await;
                down.map_err(CommandError::of)
            }
            Self::Cluster(_) => Ok(()),
        }
    }
}

async fn local(settings: &Settings, phases: &Phases) -> Result<Box<Local>, CommandError> {
    let local = match &settings.target.name {
        Some(name) => Local::attach(name).await.map_err(CommandError::of),
        None => {
            let parts = provision::LocalOptions {
                name: None,
                envoy: settings.target.envoy.as_deref(),
                images: &settings.target.images,
                fresh: settings.target.fresh,
            };
            provision::local(&parts, phases).await
        }
    };
    local.map(Box::new)
}

/// Name of the kind cluster: the requested one, else one for this run.
fn kind_name(settings: &Settings, run_id: &str) -> String {
    let own = || format!("meshproof-{run_id}");
    settings.target.name.clone().unwrap_or_else(own)
}

async fn kind(
    settings: &Settings,
    run_id: &str,
    phases: &Phases,
) -> Result<Box<KindCluster>, CommandError> {
    let name = kind_name(settings, run_id);
    let kept = settings.target.name.is_some() || settings.target.keep == Keep::Always;
    provision::kind(&name, kept, &settings.target.mesh, phases).await
}
