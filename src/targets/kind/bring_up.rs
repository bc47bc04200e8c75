//! Creates a kind cluster with a working mesh, and deletes it again.

use std::{collections::BTreeSet, path::PathBuf};

use kube::Client;

use super::{
    diagnose,
    error::{KindError, Unusable},
    images::Images,
    made_of::{self, MadeOf},
    mirror::{self, Mirror, Own},
    nodes,
    program::ContainerTool,
    record::Record,
    topology::Nodes,
};
use crate::{
    aux_service::AuxService,
    cluster::{client, object, pod_watch::PodWatch},
    event::phases::Phases,
    fixture::overrides::WorkloadOverrides,
    mesh::istio::{
        discovery::{self, DiscoveryError},
        install::{self, Installation},
        istioctl::Istioctl,
        profile::Profile,
        propagation::{gateway_api, marker},
        versions,
    },
    targets::access::TargetAccess,
    timeouts::timeouts,
    toolchain::Image,
    transport::PodDialer,
    wait::{self, Look, WaitError},
};

/// How to create or use a kind cluster.
#[derive(Debug, Clone)]
pub struct KindOptions {
    /// Name of the cluster.
    pub name: String,
    /// Keep the cluster after the run.
    pub kept: bool,
    /// The kind binary built by the tool chain, if any.
    pub kind: Option<PathBuf>,
    pub nodes: Nodes,
    pub node_image: Option<String>,
    pub images: Images,
    pub mirrors: Vec<Mirror>,
    /// How to run pull-through registries, for mirrors without a URL.
    pub own: Own,
    pub istioctl: PathBuf,
    pub hub: Option<String>,
    pub tag: Option<String>,
    pub profile: Profile,
    /// The command-line flags behind these options.
    pub made_of: MadeOf,
    /// Directory with the Gateway API CRDs for this Istio version, if there is one.
    pub gateway_api: Option<PathBuf>,
}

/// A kind cluster with Istio.
pub struct KindCluster {
    program: ContainerTool,
    record: Record,
    ready: TargetAccess,
    /// Registries that the nodes pull from; stopped on drop.
    _mirrors: Vec<AuxService>,
}

impl KindCluster {
    /// Creates a cluster, or uses the one of that name, and installs Istio if it is missing. A
    /// cluster that was created here but failed to come up is deleted.
    ///
    /// # Errors
    /// [`KindError`] of the phase that failed.
    pub async fn bring_up(options: &KindOptions, phases: &Phases) -> Result<Self, KindError> {
        check_name(&options.name)?;
        let program = ContainerTool::kind(options.kind.as_deref())?;
        let images = options.images.ours();
        let names = options.images.names(&images)?;
        phases.time("container engine", engine()).await?;
        let mut record = record(&program, options).await?;
        record.program = Some(program.path().to_owned());
        record.write()?;
        let filled = fill(&program, &mut record, options, images, names, phases).await;
        match filled {
            Ok((ready, mirrors)) => Ok(Self {
                program,
                record,
                ready,
                _mirrors: mirrors,
            }),
            Err(error) => {
                if record.made && record.profile.is_none() {
                    let _ = delete(&program, &record).await;
                }
                Err(error)
            }
        }
    }

    /// What a run needs from the cluster.
    pub fn access(&self) -> TargetAccess {
        self.ready.clone()
    }

    /// Whether the cluster is deleted at the end of the run.
    pub fn is_ephemeral(&self) -> bool {
        self.record.made && !self.record.kept
    }

    /// The cluster's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.record.kubeconfig()
    }

    /// Deletes the cluster.
    ///
    /// # Errors
    /// kind's error.
    pub async fn delete(&self) -> Result<(), KindError> {
        delete(&self.program, &self.record).await
    }

    /// Deletes a cluster if meshproof created it; leaves others alone.
    ///
    /// # Errors
    /// kind's error.
    pub async fn take_down(record: &Record) -> Result<(), KindError> {
        if !record.made {
            return Ok(());
        }
        let kind = ContainerTool::kind(record.program.as_deref())?;
        let kind = kind.with_engine(record.docker_host.clone());
        delete(&kind, record).await
    }
}

/// Checks a name against kind's rule for cluster names, which become container names.
///
/// # Errors
/// [`KindError::Name`].
pub fn check_name(name: &str) -> Result<(), KindError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.chars().all(|c| plain(c) || c == '.' || c == '-')
        && name.starts_with(plain)
        && name.ends_with(plain)
        && name.len() <= 50;
    match fits {
        true => Ok(()),
        false => Err(KindError::Name(name.to_owned())),
    }
}

/// The container engine's version. Checks that the engine responds before anything is created.
async fn engine() -> Result<String, KindError> {
    let args = ["version", "--format", "{{.Server.Version}}"];
    ContainerTool::docker()?
        .run(&args, timeouts().target.kind_question)
        .await
}

/// The record of the cluster to use. The record of a cluster that meshproof did not create says so.
async fn record(kind: &ContainerTool, options: &KindOptions) -> Result<Record, KindError> {
    let clusters = kind
        .run(&["get", "clusters"], timeouts().target.kind_question)
        .await?;
    let is_up = clusters.lines().any(|line| line == options.name);
    match (Record::find(&options.name), is_up) {
        (Some(record), true) if record.made && record.profile.is_none() => {
            Err(KindError::HalfDone { name: record.name })
        }
        (Some(record), true) => {
            let asked = options.made_of.only(&made_of::CLUSTER);
            record.made_of.agrees(&asked, &record.name).map(|()| record)
        }
        (None, true) => {
            let asked = options.made_of.only(&made_of::CLUSTER);
            MadeOf::default().agrees(&asked, &options.name)?;
            Record::begin(&options.name, false, options.kept)
        }
        (stale, false) => {
            if let Some(stale) = stale {
                stale.remove();
            }
            let mut record = Record::begin(&options.name, true, options.kept)?;
            record.made_of = options.made_of.only(&made_of::CLUSTER);
            Ok(record)
        }
    }
}

/// Installs Istio unless the cluster has it. True if it was there before.
async fn install_if_absent(
    client: &Client,
    dial: &PodDialer,
    record: &mut Record,
    options: &KindOptions,
    phases: &Phases,
) -> Result<bool, KindError> {
    let is_there = match discovery::find(client, dial).await {
        // Reinstalling would not fix it.
        Err(error @ DiscoveryError::NotReady { .. }) => return Err(Unusable::Mesh(error).into()),
        endpoints => endpoints.is_ok(),
    };
    if !is_there {
        istio(client, options, phases).await?;
        record.profile = Some(options.profile.name().to_owned());
        record.made_of.extend(options.made_of.only(&made_of::ISTIO));
        record.made_of.note("profile", options.profile.name());
    }
    Ok(is_there)
}

/// Programs that the loaded images offer to scenarios.
fn programs(images: &BTreeSet<String>) -> BTreeSet<String> {
    let offered = [
        ("local/interop:dev", "grpcurl"),
        ("local/grpcio:dev", "grpcio"),
    ];
    let loaded = offered.iter().filter(|(image, _)| images.contains(*image));
    loaded.map(|(_, program)| (*program).to_owned()).collect()
}

async fn fill(
    kind: &ContainerTool,
    record: &mut Record,
    options: &KindOptions,
    images: Vec<Image>,
    names: BTreeSet<String>,
    phases: &Phases,
) -> Result<(TargetAccess, Vec<AuxService>), KindError> {
    let kubeconfig = record.kubeconfig();
    phases
        .time("cluster", cluster(kind, record, options))
        .await?;
    let mirrors = mirror::start(kind, &record.name, &options.mirrors, &options.own).await?;
    let client = client::of(&kubeconfig, None).await;
    let client = client.map_err(Unusable::Client)?;
    let nodes = nodes::of(&client).await?;
    let workers = nodes::workers(&nodes);
    let (_, loaded) = tokio::join!(
        phases.time("nodes", nodes::ready(&client)),
        phases.time(
            "images",
            options.images.load(kind, record, images, &workers)
        ),
    );
    loaded?;
    let dial = PodDialer::api_server(client.clone());
    let is_there = install_if_absent(&client, &dial, record, options, phases).await?;
    let programs = programs(&names);
    let versions = versions::of(&client, &dial).await;
    let mut versions = versions.map_err(Unusable::Versions)?;
    if let Some(istio) = versions.get("istio") {
        record.made_of.note("istio", istio);
    }
    record.write()?;
    if is_there {
        let asked = options.made_of.only(&made_of::ISTIO);
        record.made_of.agrees(&asked, &record.name)?;
    }
    versions.insert("kind".to_owned(), version(kind).await?);
    let ready = TargetAccess {
        istioctl: Some(Istioctl {
            program: options.istioctl.clone(),
            kubeconfig: Some(kubeconfig),
            context: None,
        }),
        client,
        dial,
        versions,
        programs,
        own_mesh: record.made,
        secrets: Vec::new(),
        state: None,
        overrides: WorkloadOverrides {
            testbed: None,
            apart: nodes.iter().any(nodes::has_side),
        },
    };
    Ok((ready, mirrors))
}

/// Creates the cluster unless it already exists. Writes its kubeconfig in both cases.
async fn cluster(
    kind: &ContainerTool,
    record: &mut Record,
    options: &KindOptions,
) -> Result<(), KindError> {
    let limits = timeouts().target;
    let kubeconfig = record.kubeconfig().display().to_string();
    let clusters = kind
        .run(&["get", "clusters"], timeouts().target.kind_question)
        .await?;
    if clusters.lines().any(|line| line == record.name) {
        let args = [
            "export",
            "kubeconfig",
            "--name",
            &record.name,
            "--kubeconfig",
            &kubeconfig,
        ];
        return kind
            .run(&args, timeouts().target.kind_question)
            .await
            .map(drop);
    }
    let config = record.file("kind.yaml");
    let nodes = match options.mirrors.is_empty() {
        true => options.nodes.clone(),
        false => options.nodes.patched(mirror::CONTAINERD_PATCH)?,
    };
    std::fs::write(&config, &nodes.text).map_err(|source| KindError::Write {
        path: config.clone(),
        source,
    })?;
    let config = config.display().to_string();
    // Failed nodes are retained so that their logs can be read.
    let mut args: Vec<String> = ["create", "cluster", "--retain"].map(str::to_owned).into();
    let mut flag = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
    flag("--name", &record.name);
    flag("--config", &config);
    flag("--kubeconfig", &kubeconfig);
    let wait = limits.kind_control_plane.as_secs();
    flag("--wait", &format!("{wait}s"));
    if let Some(image) = &options.node_image {
        flag("--image", image);
    }
    let made = kind.run_known(&args, limits.kind_create, |pid| record.note_maker(pid));
    match made.await {
        Ok(_) => Ok(()),
        Err(error) => Err(diagnose::explain(&record.name, error).await),
    }
}

async fn istio(client: &Client, options: &KindOptions, phases: &Phases) -> Result<(), KindError> {
    let installation = Installation {
        hub: options.hub.as_deref(),
        tag: options.tag.as_deref(),
        profile: options.profile,
    };
    let objects = installation.manifests(&options.istioctl).await?;
    let system = PodWatch::start(client, "");
    let gateway_api = async {
        match &options.gateway_api {
            Some(folder) => {
                phases
                    .time("Gateway API", gateway_api::install(client, folder))
                    .await
            }
            None => Ok(()),
        }
    };
    let (api, mesh) = tokio::join!(
        gateway_api,
        phases.time("Istio", install::install(client, &objects, &system)),
    );
    api?;
    mesh?;
    object::install(client, &marker::collector(), None).await?;
    Ok(())
}

async fn version(kind: &ContainerTool) -> Result<String, KindError> {
    let answer = kind
        .run(&["version", "--quiet"], timeouts().target.kind_question)
        .await?;
    Ok(answer.trim().to_owned())
}

/// Deletes a cluster until kind no longer lists it: if its creation is still running, a container
/// may be added meanwhile.
async fn delete(kind: &ContainerTool, record: &Record) -> Result<(), KindError> {
    record.end_maker();
    let kubeconfig = record.kubeconfig().display().to_string();
    let name = record.name.as_str();
    let args = [
        "delete",
        "cluster",
        "--name",
        name,
        "--kubeconfig",
        &kubeconfig,
    ];
    let limits = timeouts().target;
    let deleted = wait::until(limits.kind_delete, async |_| {
        kind.run(&args, limits.kind_delete).await?;
        let left = kind.run(&["get", "clusters"], limits.kind_question).await?;
        Ok(match left.lines().any(|line| line == name) {
            true => Look::Unmet("its containers still exist".to_owned()),
            false => Look::Met(()),
        })
    });
    match deleted.await {
        Ok(()) => {
            record.remove();
            Ok(())
        }
        Err(WaitError::Failed(error)) => Err(error),
        Err(WaitError::TimedOut(late)) => Err(KindError::Failed {
            what: format!("kind delete cluster --name {name}"),
            cause: late.last_seen,
            output: String::new(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("meshproof", true)]
    #[case("a.b-9", true)]
    #[case("Upper", false)]
    #[case("-a", false)]
    #[case("a_b", false)]
    #[case("", false)]
    fn names_are_those_that_kind_takes(#[case] name: &str, #[case] fits: bool) {
        assert_eq!(check_name(name).is_ok(), fits);
    }
}
