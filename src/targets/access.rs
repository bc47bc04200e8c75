//! What a run needs from a running target, whatever its kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use kube::Client;

use crate::{
    fixture::overrides::WorkloadOverrides, mesh::istio::istioctl::Istioctl, transport::PodDialer,
};

/// A running target with a mesh.
#[derive(Clone)]
pub struct TargetAccess {
    pub client: Client,
    pub dial: PodDialer,
    /// The mesh's command-line tool, if one of the mesh's version is available.
    pub istioctl: Option<Istioctl>,
    /// Versions for the report, by component.
    pub versions: BTreeMap<String, String>,
    /// Third-party programs that pods of this target can run, by their names in `needs:`.
    pub programs: BTreeSet<String>,
    /// The mesh serves only this target: its components may be restarted.
    pub own_mesh: bool,
    /// Strings that must not appear in any report.
    pub secrets: Vec<String>,
    /// Where a run leaves its pool to the next one, if the target can outlive runs.
    pub state: Option<PathBuf>,
    /// What workloads need to run here.
    pub overrides: WorkloadOverrides,
}
