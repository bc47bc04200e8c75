//! Pod fields that this node does not honor although a program could notice.
//!
//! A pod that has one of them is not started: its containers wait with the reason [`REASON`], and
//! the message names the field. Running it without the field would test another pod than the
//! requested one. The pod does not become `Failed`, because its ReplicaSet would create a new one
//! at once, again and again. Fields that are harmlessly ignored are listed in `docs/targets.md`.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, SecurityContext, Volume};

/// Reason of the containers' waiting state and of the event.
pub(super) const REASON: &str = "Unsupported";

/// Kernel settings that belong to a pod's own namespaces (Kubernetes documentation, "Using sysctls
/// in a Kubernetes Cluster").
const OWN_SYSCTLS: [&str; 5] = [
    "net.",
    "kernel.shm",
    "kernel.msg",
    "kernel.sem",
    "fs.mqueue.",
];
/// Resources of which the node always has enough.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Whether user 0 of this world is user 0 of the machine (user_namespaces(7): the map is the
/// identity from 0 on). This is assumed if the map cannot be read.
pub fn is_machines_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    maps_root_to_root(&map)
}

fn maps_root_to_root(uid_map: &str) -> bool {
    let same = |line: &str| {
        let mut ids = line.split_whitespace();
        ids.next() == Some("0") && ids.next() == Some("0")
    };
    uid_map.is_empty() || uid_map.lines().any(same)
}

/// The unsupported fields, each with the reason. `machines_root`: see [`is_machines_root`].
pub(super) fn unsupported(spec: &PodSpec, machines_root: bool) -> Vec<String> {
    let mut found = Found {
        fields: Vec::new(),
        machines_root,
    };
    found.pod(spec);
    for (path, container) in containers(spec) {
        found.container(&path, container, spec);
    }
    for volume in spec.volumes.iter().flatten() {
        found.volume(volume);
    }
    found.fields
}

/// Why the ephemeral containers of a pod do not run, if it has any. They are added while the pod
/// runs, and it keeps running.
pub(super) fn ephemeral(pod: &Pod) -> Option<String> {
    let names: Vec<&str> = pod
        .spec
        .iter()
        .flat_map(|spec| spec.ephemeral_containers.iter().flatten())
        .map(|container| container.name.as_str())
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "spec.ephemeralContainers[{}]: not supported; use kubectl exec with the tools of the container's image",
            names.join(", ")
        )
    })
}

/// Every container with its path in the spec.
fn containers(spec: &PodSpec) -> impl Iterator<Item = (String, &Container)> {
    let inits = spec.init_containers.iter().flatten();
    let inits = inits.map(|container| ("initContainers", container));
    let mains = spec.containers.iter();
    let mains = mains.map(|container| ("containers", container));
    inits
        .chain(mains)
        .map(|(list, container)| (format!("spec.{list}[{}]", container.name), container))
}

struct Found {
    fields: Vec<String>,
    machines_root: bool,
}

impl Found {
    fn when(&mut self, is: bool, field: impl Into<String>, lack: &str) {
        if is {
            self.fields.push(format!("{}: {lack}", field.into()));
        }
    }

    fn pod(&mut self, spec: &PodSpec) {
        let on = |field: Option<bool>| field == Some(true);
        let own = "every container has its own PID namespace";
        self.when(
            on(spec.share_process_namespace),
            "spec.shareProcessNamespace",
            own,
        );
        self.when(on(spec.host_pid), "spec.hostPID", own);
        self.when(
            on(spec.host_ipc),
            "spec.hostIPC",
            "a pod has its own IPC namespace",
        );
        self.when(
            spec.host_users == Some(false),
            "spec.hostUsers: false",
            "pods share the world's user namespace",
        );
        let name = "a pod's host name is spec.hostname or the pod's name";
        self.when(
            on(spec.set_hostname_as_fqdn),
            "spec.setHostnameAsFQDN",
            name,
        );
        self.when(
            spec.hostname_override.is_some(),
            "spec.hostnameOverride",
            name,
        );
        self.when(
            spec.runtime_class_name.is_some(),
            "spec.runtimeClassName",
            "containers are plain processes",
        );
        let windows = spec.os.as_ref().is_some_and(|os| os.name != "linux");
        self.when(windows, "spec.os.name", "the node runs Linux");
        let claims = spec.resource_claims.iter().flatten().next().is_some();
        self.when(claims, "spec.resourceClaims", "the node has no devices");
        self.sysctls(spec);
        if let Some(security) = &spec.security_context {
            let kinds = (
                security.seccomp_profile.as_ref().map(|seen| &seen.type_),
                security.app_armor_profile.as_ref().map(|seen| &seen.type_),
            );
            self.profiles("spec.securityContext", kinds);
        }
    }

    fn sysctls(&mut self, spec: &PodSpec) {
        let security = spec.security_context.iter();
        for sysctl in security.flat_map(|security| security.sysctls.iter().flatten()) {
            let field = format!("spec.securityContext.sysctls[{}]", sysctl.name);
            let own = OWN_SYSCTLS
                .iter()
                .any(|prefix| sysctl.name.starts_with(prefix));
            self.when(!own, &field, "not a setting of a pod's own namespaces");
            let of_node = spec.host_network == Some(true) && sysctl.name.starts_with("net.");
            self.when(of_node, field, "with hostNetwork it belongs to the node");
        }
    }

    /// Profiles on the node; omitting the ones that a runtime brings itself is harmless.
    fn profiles(&mut self, path: &str, (seccomp, armor): (Option<&String>, Option<&String>)) {
        for (name, kind) in [("seccompProfile", seccomp), ("appArmorProfile", armor)] {
            let local = kind.is_some_and(|kind| kind == "Localhost");
            self.when(
                local,
                format!("{path}.{name}"),
                "the node has no local profiles",
            );
        }
    }

    fn container(&mut self, path: &str, container: &Container, spec: &PodSpec) {
        let input = "containers have no standard input and no terminal";
        self.when(
            container.stdin == Some(true),
            format!("{path}.stdin"),
            input,
        );
        self.when(container.tty == Some(true), format!("{path}.tty"), input);
        let init = path.starts_with("spec.init");
        let own_policy = container
            .restart_policy
            .as_deref()
            .is_some_and(|policy| !(init && policy == "Always"));
        self.when(
            own_policy,
            format!("{path}.restartPolicy"),
            "only Always of an init container (a native sidecar) is supported",
        );
        let rules = container.restart_policy_rules.iter().flatten();
        self.when(
            rules.count() > 0,
            format!("{path}.restartPolicyRules"),
            "only the pod's restartPolicy applies",
        );
        let devices = container.volume_devices.iter().flatten().next().is_some();
        self.when(
            devices,
            format!("{path}.volumeDevices"),
            "the node has no block devices",
        );
        for port in container.ports.iter().flatten() {
            let published =
                spec.host_network != Some(true) && port.host_port.is_some_and(|port| port > 0);
            self.when(
                published,
                format!("{path}.ports[{}].hostPort", port.container_port),
                "ports are not published on the node; use a Service",
            );
        }
        self.resources(path, container);
        self.mounts(path, container);
        if let Some(security) = &container.security_context {
            self.security(&format!("{path}.securityContext"), security);
        }
    }

    fn resources(&mut self, path: &str, container: &Container) {
        let Some(resources) = &container.resources else {
            return;
        };
        let amounts = [&resources.limits, &resources.requests];
        let names = amounts
            .into_iter()
            .flatten()
            .flat_map(|amounts| amounts.keys());
        let mut special: Vec<&String> = names
            .filter(|name| !RESOURCES.contains(&name.as_str()))
            .collect();
        special.dedup();
        for name in special {
            self.when(
                true,
                format!("{path}.resources[{name}]"),
                "the node does not have this resource",
            );
        }
        let claims = resources.claims.iter().flatten().next().is_some();
        self.when(
            claims,
            format!("{path}.resources.claims"),
            "the node has no devices",
        );
    }

    fn mounts(&mut self, path: &str, container: &Container) {
        for mount in container.volume_mounts.iter().flatten() {
            let field = format!("{path}.volumeMounts[{}]", mount.name);
            let shared = mount
                .mount_propagation
                .as_deref()
                .is_some_and(|how| how != "None");
            self.when(
                shared,
                format!("{field}.mountPropagation"),
                "mounts are not propagated",
            );
            let below = mount.recursive_read_only.as_deref() == Some("Enabled");
            self.when(
                below,
                format!("{field}.recursiveReadOnly"),
                "only the mount itself is read-only",
            );
        }
    }

    fn security(&mut self, path: &str, security: &SecurityContext) {
        let unmasked = security.proc_mount.as_deref() == Some("Unmasked");
        self.when(
            unmasked,
            format!("{path}.procMount"),
            "only the default /proc mount is supported",
        );
        let added = security
            .capabilities
            .iter()
            .flat_map(|given| given.add.iter().flatten());
        let mounts = added
            .map(|name| name.to_ascii_uppercase())
            .any(|name| ["SYS_ADMIN", "CAP_SYS_ADMIN", "ALL"].contains(&name.as_str()));
        let why = "in a world started by root, user 0 is the machine's root, and with this privilege a container could remove the protection of the kernel's settings; start the target as an ordinary user";
        self.when(
            self.machines_root && security.privileged == Some(true),
            format!("{path}.privileged"),
            why,
        );
        self.when(
            self.machines_root && mounts,
            format!("{path}.capabilities.add[SYS_ADMIN]"),
            why,
        );
        let kinds = (
            security.seccomp_profile.as_ref().map(|seen| &seen.type_),
            security.app_armor_profile.as_ref().map(|seen| &seen.type_),
        );
        self.profiles(path, kinds);
    }

    fn volume(&mut self, volume: &Volume) {
        let field = format!("spec.volumes[{}]", volume.name);
        let known = volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.empty_dir.is_some()
            || volume.projected.is_some()
            || volume.downward_api.is_some()
            || volume.ephemeral.is_some(); // an empty directory, which also ends with its pod
        let host = volume.host_path.is_some();
        self.when(
            host,
            format!("{field}.hostPath"),
            "pods cannot access the files of this machine; provide a program or a directory as an image (--image)",
        );
        self.when(
            !known && !host,
            &field,
            "only emptyDir, configMap, secret, projected and downwardAPI volumes are supported",
        );
        let medium = volume
            .empty_dir
            .as_ref()
            .and_then(|dir| dir.medium.as_deref());
        let huge = medium.is_some_and(|medium| medium.starts_with("HugePages"));
        self.when(
            huge,
            format!("{field}.emptyDir.medium"),
            "the node has no huge pages",
        );
        let projected = volume.projected.iter();
        for part in projected.flat_map(|volume| volume.sources.iter().flatten()) {
            let lacks =
                "only configMap, secret, downwardAPI and serviceAccountToken sources are supported";
            let bundle = part.cluster_trust_bundle.is_some();
            self.when(bundle, format!("{field}.clusterTrustBundle"), lacks);
            let certificate = part.pod_certificate.is_some();
            self.when(certificate, format!("{field}.podCertificate"), lacks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn of(pod: Value, container: Value) -> Vec<String> {
        let (mut pod, mut container) = (pod, container);
        container["name"] = json!("c");
        pod["containers"] = json!([container]);
        unsupported(&serde_json::from_value(pod).unwrap(), false)
    }

    #[rstest]
    #[case(json!({"shareProcessNamespace": true}), "spec.shareProcessNamespace: ")]
    #[case(json!({"hostPID": true}), "spec.hostPID: ")]
    #[case(json!({"hostIPC": true}), "spec.hostIPC: ")]
    #[case(json!({"hostUsers": false}), "spec.hostUsers: false: ")]
    #[case(json!({"setHostnameAsFQDN": true}), "spec.setHostnameAsFQDN: ")]
    #[case(json!({"runtimeClassName": "vm"}), "spec.runtimeClassName: ")]
    #[case(json!({"os": {"name": "windows"}}), "spec.os.name: ")]
    #[case(json!({"resourceClaims": [{"name": "gpu"}]}), "spec.resourceClaims: ")]
    #[case(json!({"securityContext": {"sysctls": [{"name": "vm.swappiness", "value": "1"}]}}), "spec.securityContext.sysctls[vm.swappiness]: ")]
    #[case(json!({"hostNetwork": true, "securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}), "with hostNetwork")]
    #[case(json!({"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}}), "spec.securityContext.seccompProfile: ")]
    #[case(json!({"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}), "spec.volumes[v]: ")]
    #[case(json!({"volumes": [{"name": "v", "hostPath": {"path": "/etc"}}]}), "spec.volumes[v].hostPath: ")]
    #[case(json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}), "spec.volumes[v]: ")]
    #[case(json!({"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages"}}]}), "spec.volumes[v].emptyDir.medium: ")]
    #[case(json!({"volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}]}), "clusterTrustBundle: ")]
    fn a_field_of_the_pod_is_named(#[case] pod: Value, #[case] answer: &str) {
        let found = of(pod, json!({}));
        assert!(found.len() == 1 && found[0].contains(answer), "{found:?}");
    }

    #[rstest]
    #[case(json!({"privileged": true}), "securityContext.privileged: ")]
    #[case(json!({"capabilities": {"add": ["SYS_ADMIN"]}}), "capabilities.add[SYS_ADMIN]: ")]
    #[case(json!({"capabilities": {"add": ["NET_ADMIN", "CAP_SYS_ADMIN"]}}), "capabilities.add[SYS_ADMIN]: ")]
    #[case(json!({"capabilities": {"add": ["all"]}}), "capabilities.add[SYS_ADMIN]: ")]
    fn what_could_undo_the_masks_is_for_worlds_whose_root_is_not_the_machines(
        #[case] security: Value,
        #[case] answer: &str,
    ) {
        let spec = json!({"containers": [{"name": "c", "securityContext": security}]});
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let found = unsupported(&spec, true);
        assert!(found.len() == 1 && found[0].contains(answer), "{found:?}");
        assert_eq!(unsupported(&spec, false), [""; 0]);
    }

    #[rstest]
    #[case::root("         0          0      65536\n", true)]
    #[case::ordinary_user("0 1000 1\n1 100000 65535\n", false)]
    #[case::unreadable("", true)]
    fn the_machines_root_is_told_by_the_map(#[case] map: &str, #[case] same: bool) {
        assert_eq!(maps_root_to_root(map), same);
    }

    #[rstest]
    #[case(json!({"stdin": true}), ".stdin: ")]
    #[case(json!({"tty": true}), ".tty: ")]
    #[case(json!({"restartPolicy": "Never"}), ".restartPolicy: ")]
    #[case(json!({"volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]}), ".volumeDevices: ")]
    #[case(json!({"ports": [{"containerPort": 80, "hostPort": 80}]}), ".ports[80].hostPort: ")]
    #[case(json!({"resources": {"limits": {"example.com/gpu": "1"}, "requests": {"example.com/gpu": "1"}}}), ".resources[example.com/gpu]: ")]
    #[case(json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]}), ".volumeMounts[v].mountPropagation: ")]
    #[case(json!({"securityContext": {"procMount": "Unmasked"}}), ".securityContext.procMount: ")]
    fn a_field_of_a_container_is_named(#[case] container: Value, #[case] answer: &str) {
        let found = of(json!({}), container);
        let answer = format!("spec.containers[c]{answer}");
        assert!(
            found.len() == 1 && found[0].starts_with(&answer),
            "{found:?}"
        );
    }

    #[rstest]
    #[case::nothing(json!({}), json!({}))]
    #[case::limits(json!({"priority": 1, "tolerations": []}), json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}))]
    #[case::host_network(json!({"hostNetwork": true}), json!({"ports": [{"containerPort": 80, "hostPort": 80}]}))]
    #[case::pod_sysctl(json!({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}}), json!({}))]
    #[case::runtime_default(json!({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}), json!({"tty": false}))]
    #[case::memory(json!({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}), json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))]
    fn what_is_honoured_or_harmless_passes(#[case] pod: Value, #[case] container: Value) {
        assert_eq!(of(pod, container), [""; 0]);
    }

    #[test]
    fn a_native_sidecar_is_honoured() {
        let spec =
            json!({"containers": [], "initContainers": [{"name": "s", "restartPolicy": "Always"}]});
        assert_eq!(
            unsupported(&serde_json::from_value(spec).unwrap(), true),
            [""; 0]
        );
    }
}
