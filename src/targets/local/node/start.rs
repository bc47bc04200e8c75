//! Starts one container of a pod: from its image and spec to a running process, including its
//! postStart hook.

use std::{fs, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::mpsc;

use super::{
    config::Shared,
    env::{self, EnvContext},
    events::Weight,
    fields::{self, Addresses},
    lifecycle,
    logs::LogFile,
    message::Message,
    probe_action::ProbeTarget,
    process::{self, LaunchError, Process},
    refusal::{CONFIG_RETRY, ConfigError, Refusal},
    rootfs,
    sandbox::Namespaces,
    source::Known,
};
use crate::{
    errors::chain,
    targets::local::container::{ContainerSpec, EnterSpec},
};

/// Delay before a missing image is looked up again. Images are fixed when the target comes up, so
/// this is rare.
const IMAGE_RETRY: Duration = Duration::from_secs(300);

/// Inputs of a container's start.
pub(super) struct Start {
    pub shared: Arc<Shared>,
    pub pod: Arc<Pod>,
    pub container: Container,
    pub slot: usize,
    /// Number of this start in the slot; replies carry it, so that late ones are recognized.
    pub run: u32,
    /// Number of restarts, for the name of the log.
    pub restarts: i32,
    pub namespaces: Arc<Namespaces>,
    pub pod_ip: Ipv4Addr,
    pub known: Arc<Known>,
    pub pod_dir: PathBuf,
    pub tell: mpsc::UnboundedSender<Message>,
}

impl Start {
    /// How to reach the container once it runs.
    pub fn target(&self) -> ProbeTarget {
        target(
            &self.shared,
            &self.pod_dir,
            &self.container.name,
            self.pod_ip,
        )
    }

    /// Starts the container and reports every step to the pod's worker.
    pub async fn run(self) {
        let (slot, run) = (self.slot, self.run);
        let process = match self.launch().await {
            Ok(process) => process,
            Err(refusal) => {
                let _ = self.tell.send(Message::Refused { slot, run, refusal });
                return;
            }
        };
        let _ = self.tell.send(Message::Launched { slot, run, process });
        let result = lifecycle::post_start(&self.container, &self.target()).await;
        let _ = self.tell.send(match result {
            Ok(()) => Message::Started { slot, run },
            Err(error) => Message::HookFailed {
                slot,
                run,
                message: chain(&error),
            },
        });
    }

    async fn launch(&self) -> Result<Process, Refusal> {
        let spec = self.describe()?;
        let dir = rootfs::container_dir(&self.pod_dir, &self.container.name);
        let io = |error: std::io::Error| Refusal {
            reason: "CreateContainerError",
            message: error.to_string(),
            retry: Some(CONFIG_RETRY),
        };
        fs::create_dir_all(&spec.root).map_err(io)?;
        fs::write(dir.join("termination-log"), "").map_err(io)?;
        fs::set_permissions(
            dir.join("termination-log"),
            std::os::unix::fs::PermissionsExt::from_mode(0o666),
        )
        .map_err(io)?;
        let log_path = dir.join(format!("{}.log", self.restarts));
        let log = LogFile::create(&log_path).map_err(io)?;
        self.entry(|entry| {
            entry.previous_log = entry.log.take();
            entry.log = Some(log_path);
        });
        let (tell, slot, run) = (self.tell.clone(), self.slot, self.run);
        let exited = move |exit| {
            let _ = tell.send(Message::Exited { slot, run, exit });
        };
        let launched = process::launch(
            &self.shared.cfg.self_exe,
            self.namespaces.clone(),
            &spec,
            log,
            exited,
        )
        .await;
        let process = launched.map_err(|error| match error {
            LaunchError::Spawn(error) => io(error),
            LaunchError::Start(message) => Refusal {
                reason: "StartError",
                message,
                retry: None,
            },
        })?;
        let name = format!("{}/{}", self.pod_dir.display(), self.container.name);
        self.shared.memory.watch(name, process.clone(), spec.memory);
        let enter = EnterSpec {
            pid: process.pid,
            identity: spec.identity,
            workdir: spec.workdir,
            env: spec.env,
        };
        let enter_file = dir.join("enter.json");
        serde_json::to_vec(&enter)
            .map_err(std::io::Error::other)
            .and_then(|text| fs::write(&enter_file, text))
            .map_err(io)?;
        self.entry(|entry| entry.enter_file = Some(enter_file));
        Ok(process)
    }

    fn entry(&self, change: impl FnOnce(&mut super::pod_table::ContainerEntry)) {
        let meta = &self.pod.metadata;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        self.shared.running.update(
            &text(&meta.namespace),
            &text(&meta.name),
            &text(&meta.uid),
            &self.container.name,
            change,
        );
    }

    fn describe(&self) -> Result<ContainerSpec, Refusal> {
        let name = self.container.image.clone().unwrap_or_default();
        let image = self
            .shared
            .cfg
            .images
            .resolve(&name)
            .map_err(|error| Refusal {
                // the kubelet's reason when nothing is pulled and the image is not present
                reason: "ErrImageNeverPull",
                message: error.to_string(),
                retry: Some(IMAGE_RETRY),
            })?;
        let spec = self.pod.spec.as_ref().ok_or(ConfigError::NoSpec)?;
        let hostname = rootfs::hostname(&self.pod);
        let context = EnvContext {
            pod: &self.pod,
            addresses: Addresses {
                pod: self.pod_ip,
                node: self.shared.cfg.node_ip,
            },
            api_server: self.shared.cfg.api_server,
            known: &self.known,
            hostname: &hostname,
        };
        let env = env::environment(&context, &image.env, &self.container)?;
        let security = self.container.security_context.as_ref();
        let workdir = self
            .container
            .working_dir
            .clone()
            .map(PathBuf::from)
            .unwrap_or_else(|| image.workdir.clone());
        Ok(ContainerSpec {
            root: rootfs::container_dir(&self.pod_dir, &self.container.name).join("root"),
            tree: rootfs::tree(image),
            mounts: rootfs::mounts(&self.pod_dir, spec, &self.container, &env)?,
            read_only_root: security.and_then(|context| context.read_only_root_filesystem)
                == Some(true),
            identity: rootfs::identity(spec, &self.container, image)?,
            workdir: if workdir.as_os_str().is_empty() {
                PathBuf::from("/")
            } else {
                workdir
            },
            memory: memory_limit(&self.container)?,
            argv: env::command_line(&image.entrypoint, &self.container, &env),
            env,
        })
    }
}

/// `resources.limits.memory` in bytes.
fn memory_limit(container: &Container) -> Result<Option<u64>, ConfigError> {
    let limits = container
        .resources
        .as_ref()
        .and_then(|all| all.limits.as_ref());
    let Some(limit) = limits.and_then(|limits| limits.get("memory")) else {
        return Ok(None);
    };
    Ok(Some(fields::bytes(limit)?))
}

/// How to reach a container.
pub(super) fn target(
    shared: &Shared,
    pod_dir: &std::path::Path,
    container: &str,
    pod_ip: Ipv4Addr,
) -> ProbeTarget {
    ProbeTarget {
        pod_ip: pod_ip.to_string(),
        self_exe: shared.cfg.self_exe.clone(),
        enter_file: rootfs::container_dir(pod_dir, container).join("enter.json"),
    }
}

/// Reports a container's start to the API.
pub(super) fn report_started(shared: &Shared, pod: &Pod, container: &str) {
    shared.events.report(
        pod,
        Weight::Normal,
        "Started",
        format!("Started container {container}"),
    );
}
