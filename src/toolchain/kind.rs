//! The parts of a kind cluster besides the control plane: kind itself, the programs of a node, and
//! the source files of kind's node image. Built only on request; `scripts/kind-offline` builds a
//! node image from them.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};

use super::pins::{Component, Recipe, collect, kubernetes_ldflags, required_version};

/// The Go module of these programs.
static MODULE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tools/kind");

const KIND: &str = "sigs.k8s.io/kind";
const KUBERNETES: &str = "k8s.io/kubernetes";
const CONTAINERD: &str = "github.com/containerd/containerd/v2";

/// Programs of the modules above, and two of this repository.
fn components() -> Vec<Component> {
    let cmd = |module: &str, name: &str| (name.to_owned(), format!("{module}/cmd/{name}"));
    let kubernetes = ["kubelet", "kubeadm", "kubectl", "kube-scheduler"];
    let containerd = ["containerd", "containerd-shim-runc-v2", "ctr"];
    let own = ["podnet", "pause"];
    let mut all = vec![("kind".to_owned(), KIND.to_owned())];
    all.extend(kubernetes.map(|name| cmd(KUBERNETES, name)));
    all.extend(containerd.map(|name| cmd(CONTAINERD, name)));
    all.extend(own.map(|name| cmd(".", name)));
    all.into_iter()
        .map(|(name, package)| Component { name, package })
        .collect()
}

impl Recipe {
    /// kind and a node's programs.
    pub fn kind() -> Self {
        let mut files = BTreeMap::new();
        collect(&MODULE, &mut files);
        // A wrapper around an engine's runc, not part of a node: scripts/kind-offline builds it if
        // an engine needs it.
        files.retain(|path, _| !path.starts_with("cmd/runc-within/"));
        let go_mod = String::from_utf8_lossy(&files["go.mod"]).into_owned();
        let version = |module: &str| required_version(&go_mod, module).unwrap_or_default();
        let ldflags = format!(
            "-s -w {} -X {CONTAINERD}/version.Version={}",
            kubernetes_ldflags(&version(KUBERNETES)),
            version(CONTAINERD)
        );
        let asset = |from: &str, to: &str| (KIND.to_owned(), from.to_owned(), to.to_owned());
        Self {
            files,
            components: components(),
            ldflags,
            assets: vec![
                asset("images/base/files", "node"),
                asset("pkg/build/nodeimage/const_cni.go", "const_cni.go"),
                asset("pkg/build/nodeimage/const_storage.go", "const_storage.go"),
            ],
            versions: [
                ("kind".to_owned(), version(KIND)),
                ("containerd".to_owned(), version(CONTAINERD)),
            ]
            .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_as_old_as_the_control_plane() {
        let go_mod =
            |recipe: &Recipe| String::from_utf8_lossy(&recipe.files["go.mod"]).into_owned();
        let (kind, pinned) = (Recipe::kind(), Recipe::pinned());
        let version = required_version(&go_mod(&kind), KUBERNETES);
        assert!(version.is_some());
        assert_eq!(version, required_version(&go_mod(&pinned), KUBERNETES));
        assert!(kind.versions.values().all(|version| !version.is_empty()));
    }

    #[test]
    fn every_tool_of_the_module_is_built() {
        let recipe = Recipe::kind();
        let go_mod = String::from_utf8_lossy(&recipe.files["go.mod"]).into_owned();
        let (_, block) = go_mod.split_once("tool (").unwrap();
        let tools: Vec<&str> = block
            .split(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let built: Vec<&str> = recipe
            .components
            .iter()
            .map(|component| component.package.as_str())
            .collect();
        assert_eq!(tools.len(), 8);
        assert!(tools.iter().all(|tool| built.contains(tool)), "{built:?}");
    }
}
