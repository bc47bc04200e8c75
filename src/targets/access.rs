//! What a run needs of a target that is up, whichever it is.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;

use crate::{
    fixture::overrides::WorkloadOverrides, mesh::istio::istioctl::Istioctl, transport::PodDialer,
};

/// A target that is up, with a mesh on it.
#[derive(Clone)]
pub struct TargetAccess {
    pub client: Client,
    pub dial: PodDialer,
    /// The mesh's own tool, where there is one of the mesh's version.
    pub istioctl: Option<Istioctl>,
    /// Versions for the report, by component.
    pub versions: BTreeMap<String, String>,
    /// Programs of other projects that pods of this target can run, by the words of `needs:`.
    pub programs: BTreeSet<String>,
    /// The mesh serves nobody else: its parts may be restarted.
    pub own_mesh: bool,
    /// Texts that must not stand in any report.
    pub secrets: Vec<String>,
    /// What workloads need to run here.
    pub fitting: WorkloadOverrides,
}
