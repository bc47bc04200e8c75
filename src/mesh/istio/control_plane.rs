//! The control planes of a mesh, one istiod for each revision. Every data plane belongs to one of
//! them.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::injection::{DEFAULT_REVISION, revision};
use crate::{
    observe::data_plane::Plane,
    transport::{PodDialer, http::PodPort},
};

/// istiod's debug interface, on the pod's loopback.
pub const ISTIOD_DEBUG_PORT: u16 = 8080;

/// The istiod of one revision.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    pub revision: String,
    /// Debug port of a ready pod.
    pub debug: PodPort,
}

impl ControlPlane {
    /// The control plane that an istiod pod runs.
    pub fn of(dial: &PodDialer, pod: &Pod) -> Self {
        Self {
            revision: revision(pod),
            debug: PodPort {
                dial: dial.clone(),
                namespace: pod.namespace().unwrap_or_default(),
                pod: pod.name_any(),
                port: ISTIOD_DEBUG_PORT,
            },
        }
    }

    /// For messages.
    pub fn name(&self) -> String {
        match self.revision.as_str() {
            DEFAULT_REVISION => "istiod".to_owned(),
            other => format!("istiod of revision {other}"),
        }
    }
}

/// All control planes of a mesh, at least one.
#[derive(Debug, Clone)]
pub struct ControlPlanes {
    first: ControlPlane,
    others: Vec<ControlPlane>,
}

impl ControlPlanes {
    /// Keeps one for each revision, the default revision first. `None` if there is none.
    pub fn new(mut all: Vec<ControlPlane>) -> Option<Self> {
        all.sort_by_key(|one| (one.revision != DEFAULT_REVISION, one.revision.clone()));
        all.dedup_by(|a, b| a.revision == b.revision);
        let mut all = all.into_iter();
        let first = all.next()?;
        Some(Self {
            first,
            others: all.collect(),
        })
    }

    /// The control plane of the default revision, otherwise the first by revision.
    pub fn first(&self) -> &ControlPlane {
        &self.first
    }

    pub fn all(&self) -> impl Iterator<Item = &ControlPlane> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The control plane that a data plane belongs to.
    pub fn of(&self, plane: &Plane) -> &ControlPlane {
        let mut all = self.all();
        let own = all.find(|one| one.revision == plane.revision());
        own.unwrap_or(&self.first)
    }

    /// Each control plane with the data planes that belong to it.
    pub fn with<'a>(
        &'a self,
        planes: &'a [&'a Plane],
    ) -> impl Iterator<Item = (&'a ControlPlane, Vec<&'a Plane>)> {
        self.all().map(|one| {
            let own = planes.iter().copied();
            let own = own.filter(|plane| self.of(plane).revision == one.revision);
            (one, own.collect())
        })
    }

    /// Replaces the pod of a revision.
    pub fn follow(&mut self, fresh: ControlPlane) {
        let mut all = std::iter::once(&mut self.first).chain(&mut self.others);
        if let Some(old) = all.find(|one| one.revision == fresh.revision) {
            *old = fresh;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::observe::data_plane::envoy::Envoy;

    fn one(revision: &str, pod: &str) -> ControlPlane {
        ControlPlane {
            revision: revision.to_owned(),
            debug: PodPort {
                dial: PodDialer::node(PathBuf::new()),
                namespace: "istio-system".to_owned(),
                pod: pod.to_owned(),
                port: ISTIOD_DEBUG_PORT,
            },
        }
    }

    fn proxy(revision: &str) -> Plane {
        Envoy::of(
            &PodDialer::node(PathBuf::new()),
            ("ns", "a"),
            revision,
            false,
        )
    }

    #[test]
    fn a_data_plane_belongs_to_the_control_plane_of_its_revision() {
        let all = vec![
            one("next", "b"),
            one(DEFAULT_REVISION, "a"),
            one("next", "c"),
        ];
        let mut all = ControlPlanes::new(all).expect("some");
        let pods: Vec<&str> = all.all().map(|one| one.debug.pod.as_str()).collect();
        assert_eq!(
            pods,
            ["a", "b"],
            "the default one first, one for each revision"
        );
        assert_eq!(all.of(&proxy("next")).debug.pod, "b");
        assert_eq!(all.of(&proxy("gone")).debug.pod, "a");
        all.follow(one("next", "d"));
        assert_eq!(all.of(&proxy("next")).debug.pod, "d");
        assert_eq!(all.first().debug.pod, "a");
        assert!(ControlPlanes::new(Vec::new()).is_none());
    }

    #[test]
    fn a_revision_is_told_where_there_is_one() {
        assert_eq!(one(DEFAULT_REVISION, "a").name(), "istiod");
        assert_eq!(one("next", "a").name(), "istiod of revision next");
    }
}
