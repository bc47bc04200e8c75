//! What a container gets besides its image: identity, volumes and the pod's own files.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, VolumeMount};

use super::{env::expand, refusal::ConfigError};
use crate::{
    targets::local::{
        container::{Identity, MountSpec, RootEntry},
        ns::CapSet,
    },
    toolchain::images::{Image, TreeEntry},
};

/// Default capabilities of a container: the set that containerd and Docker agree on.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];
/// Where a container may leave a message when it ends (Kubernetes API).
const TERMINATION_LOG: &str = "/dev/termination-log";

/// User, groups and capabilities of the container's program.
///
/// # Errors
/// `runAsNonRoot` with user 0, or an unknown capability.
pub(super) fn identity(
    spec: &PodSpec,
    container: &Container,
    image: &Image,
) -> Result<Identity, ConfigError> {
    let pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let number = |id: i64| u32::try_from(id).map_err(|_| ConfigError::Id { id });
    let uid = own
        .run_as_user
        .or(pod.run_as_user)
        .map(number)
        .transpose()?;
    let gid = own
        .run_as_group
        .or(pod.run_as_group)
        .map(number)
        .transpose()?;
    // without a group, an image's own user gets a group of the same number; any other user gets
    // group 0
    let gid = gid.unwrap_or(if uid.is_none() {
        image.user.unwrap_or(0)
    } else {
        0
    });
    let uid = uid.or(image.user).unwrap_or(0);
    if uid == 0 && own.run_as_non_root.or(pod.run_as_non_root) == Some(true) {
        return Err(ConfigError::Root {
            container: container.name.clone(),
        });
    }
    let mut groups = vec![gid];
    for group in pod
        .supplemental_groups
        .into_iter()
        .flatten()
        .chain(pod.fs_group)
    {
        groups.push(number(group)?);
    }
    let privileged = own.privileged == Some(true);
    let expected = own.capabilities.unwrap_or_default();
    let set = |names: &Option<Vec<String>>| CapSet::of(names.iter().flatten().map(String::as_str));
    let default = CapSet::of(DEFAULT_CAPABILITIES).unwrap_or_default();
    let capabilities = if privileged {
        CapSet::ALL
    } else {
        default
            .without(set(&expected.drop)?)
            .with(set(&expected.add)?)
    };
    let no_new_privs = own.allow_privilege_escalation == Some(false) && !privileged;
    Ok(Identity {
        uid,
        gid,
        groups,
        capabilities,
        no_new_privs,
    })
}

/// The image's tree in the form that the container's first process reads.
pub(super) fn tree(image: &Image) -> Vec<RootEntry> {
    let entry = |entry: &TreeEntry| match entry.clone() {
        TreeEntry::Bind {
            host,
            at,
            read_only,
        } => RootEntry::Bind {
            host,
            at,
            read_only,
        },
        TreeEntry::File { at, contents } => RootEntry::File { at, contents },
        TreeEntry::Link { at, to } => RootEntry::Link { at, to },
        TreeEntry::Dir { at, mode } => RootEntry::Dir { at, mode },
    };
    image.tree.iter().map(entry).collect()
}

/// Where the node keeps a volume of a pod.
pub(super) fn volume_dir(pod_dir: &Path, name: &str) -> PathBuf {
    pod_dir.join("volumes").join(name)
}

/// Directory of a container's own files: its root's mount point, its description, its termination
/// message.
pub(super) fn container_dir(pod_dir: &Path, name: &str) -> PathBuf {
    pod_dir.join("containers").join(name)
}

/// Everything that is bound into the container besides its image.
///
/// # Errors
/// A volume that the pod does not have, or a subPath that leads outside its volume.
pub(super) fn mounts(
    pod_dir: &Path,
    spec: &PodSpec,
    container: &Container,
    env: &[(String, String)],
) -> Result<Vec<MountSpec>, ConfigError> {
    let mut all: Vec<MountSpec> = ["hosts", "hostname", "resolv.conf"]
        .map(|name| MountSpec {
            source: pod_dir.join(name),
            target: Path::new("/etc").join(name),
            read_only: false,
        })
        .into();
    let message = container
        .termination_message_path
        .clone()
        .unwrap_or_else(|| TERMINATION_LOG.to_owned());
    let source = container_dir(pod_dir, &container.name).join("termination-log");
    all.push(MountSpec {
        source,
        target: PathBuf::from(message),
        read_only: false,
    });
    for mount in container.volume_mounts.iter().flatten() {
        all.push(volume_mount(pod_dir, spec, mount, env)?);
    }
    // a volume mounted over one of the pod's own files takes precedence
    let volumes: Vec<PathBuf> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| PathBuf::from(&mount.mount_path))
        .collect();
    let mut index = 0;
    all.retain(|mount| {
        index += 1;
        index > 4 || !volumes.contains(&mount.target)
    });
    Ok(all)
}

fn volume_mount(
    pod_dir: &Path,
    spec: &PodSpec,
    mount: &VolumeMount,
    env: &[(String, String)],
) -> Result<MountSpec, ConfigError> {
    let volume = spec
        .volumes
        .iter()
        .flatten()
        .find(|volume| volume.name == mount.name);
    let volume = volume.ok_or_else(|| ConfigError::NoVolume {
        mount: mount.name.clone(),
    })?;
    let base = volume_dir(pod_dir, &mount.name);
    let sub = mount
        .sub_path_expr
        .as_deref()
        .map(|text| expand(text, env))
        .or(mount.sub_path.clone())
        .unwrap_or_default();
    let source = if sub.is_empty() {
        base
    } else {
        sub_path(&base, &sub, volume.empty_dir.is_some())?
    };
    // only the node writes to volumes that it keeps up to date
    let read_only =
        mount.read_only == Some(true) || (volume.empty_dir.is_none() && volume.ephemeral.is_none());
    Ok(MountSpec {
        source,
        target: PathBuf::from(&mount.mount_path),
        read_only,
    })
}

fn sub_path(base: &Path, sub: &str, may_make: bool) -> Result<PathBuf, ConfigError> {
    let say = |source| ConfigError::SubPath {
        path: sub.to_owned(),
        source,
    };
    let place = base.join(sub.trim_start_matches('/'));
    if may_make && !place.exists() && !sub.split('/').any(|part| part == "..") {
        fs::create_dir_all(&place)
            .and_then(|()| fs::set_permissions(&place, fs::Permissions::from_mode(0o777)))
            .map_err(say)?;
    }
    let real = fs::canonicalize(&place).map_err(say)?;
    let inside = fs::canonicalize(base).is_ok_and(|base| real.starts_with(base));
    if inside {
        Ok(real)
    } else {
        Err(ConfigError::SubPathLeaves {
            path: sub.to_owned(),
        })
    }
}

/// Creates an empty directory that every user of the pod may write to.
pub(super) fn make_empty_dir(dir: &Path, group: Option<u32>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    if let Some(group) = group {
        chown(dir, None, Some(group))?;
    }
    fs::set_permissions(
        dir,
        fs::Permissions::from_mode(if group.is_some() { 0o2777 } else { 0o777 }),
    )
}

/// How a pod resolves names.
pub(super) struct Dns<'a> {
    pub server: String,
    pub domain: &'a str,
    /// The world's own `/etc/resolv.conf`, for `dnsPolicy: Default`.
    pub world: String,
}

/// `/etc/resolv.conf` (Kubernetes documentation, "DNS for Services and Pods").
pub(super) fn resolv_conf(pod: &Pod, dns: &Dns<'_>) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let config = spec.dns_config.unwrap_or_default();
    let host = spec.host_network == Some(true);
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    let message = |keyword: &str| -> Vec<String> {
        let lines = dns
            .world
            .lines()
            .filter_map(|line| line.strip_prefix(keyword));
        lines
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    };
    let worlds = || {
        (
            message("nameserver "),
            message("search "),
            message("options "),
        )
    };
    match spec.dns_policy.as_deref() {
        Some("None") => {}
        Some("Default") => (servers, searches, options) = worlds(),
        Some("ClusterFirst") | None if host => (servers, searches, options) = worlds(),
        _ => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
            servers.push(dns.server.clone());
            searches.extend([
                format!("{namespace}.svc.{}", dns.domain),
                format!("svc.{}", dns.domain),
                dns.domain.to_owned(),
            ]);
            options.push("ndots:5".to_owned());
        }
    }
    servers.extend(config.nameservers.into_iter().flatten());
    searches.extend(config.searches.into_iter().flatten());
    for option in config.options.into_iter().flatten() {
        let name = option.name.unwrap_or_default();
        options.retain(|known| known.split(':').next() != Some(name.as_str()));
        options.push(
            option
                .value
                .map_or_else(|| name.clone(), |value| format!("{name}:{value}")),
        );
    }
    let mut text = String::new();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

/// `/etc/hosts`.
pub(super) fn hosts(pod: &Pod, ip: &str, hostname: &str, domain: &str) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    let spec = pod.spec.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    match &spec.subdomain {
        Some(sub) => text.push_str(&format!(
            "{ip}\t{hostname}.{sub}.{namespace}.svc.{domain}\t{hostname}\n"
        )),
        None => text.push_str(&format!("{ip}\t{hostname}\n")),
    }
    for alias in spec.host_aliases.into_iter().flatten() {
        text.push_str(&format!(
            "{}\t{}\n",
            alias.ip,
            alias.hostnames.unwrap_or_default().join("\t")
        ));
    }
    text
}

/// The pod's host name: at most 63 characters, as a DNS label.
pub(super) fn hostname(pod: &Pod) -> String {
    let given = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
    let name = given.or(pod.metadata.name.clone()).unwrap_or_default();
    name.chars()
        .take(63)
        .collect::<String>()
        .trim_end_matches(['-', '.'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn image(user: Option<u32>) -> Image {
        Image {
            name: "i".to_owned(),
            entrypoint: Vec::new(),
            env: Vec::new(),
            user,
            workdir: PathBuf::from("/"),
            tree: Vec::new(),
        }
    }

    fn who(pod: Value, container: Value, user: Option<u32>) -> Result<Identity, ConfigError> {
        let spec: PodSpec =
            serde_json::from_value(json!({"securityContext": pod, "containers": []})).unwrap();
        let container: Container =
            serde_json::from_value(json!({"name": "c", "securityContext": container})).unwrap();
        identity(&spec, &container, &image(user))
    }

    #[rstest]
    #[case::root(json!({}), json!({}), None, 0, 0)]
    #[case::image_user(json!({}), json!({}), Some(1337), 1337, 1337)]
    #[case::pod_user(json!({"runAsUser": 5}), json!({}), Some(1337), 5, 0)]
    #[case::container_wins(json!({"runAsUser": 5, "runAsGroup": 6}), json!({"runAsUser": 7}), None, 7, 6)]
    fn the_user_is_the_nearest_one(
        #[case] pod: Value,
        #[case] container: Value,
        #[case] image: Option<u32>,
        #[case] uid: u32,
        #[case] gid: u32,
    ) {
        let got = who(pod, container, image).unwrap();
        assert_eq!((got.uid, got.gid), (uid, gid));
    }

    #[test]
    fn capabilities_are_dropped_before_they_are_added() {
        let got = who(
            json!({}),
            json!({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}}),
            None,
        )
        .unwrap();
        assert_eq!(
            got.capabilities,
            CapSet::of(["NET_ADMIN", "NET_RAW"]).unwrap()
        );
        let refused = who(json!({"runAsNonRoot": true}), json!({}), None).unwrap_err();
        assert!(refused.to_string().contains("runAsNonRoot"));
    }

    #[rstest]
    #[case::cluster(json!({}), "nameserver 10.96.0.10\nsearch n.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")]
    #[case::default_is_the_worlds(json!({"dnsPolicy": "Default"}), "nameserver 9.9.9.9\nsearch world\noptions ndots:1\n")]
    #[case::host_network(json!({"hostNetwork": true}), "nameserver 9.9.9.9\nsearch world\noptions ndots:1\n")]
    #[case::added_to_the_worlds(json!({"dnsPolicy": "Default", "dnsConfig": {"searches": ["own"], "options": [{"name": "ndots", "value": "3"}]}}),
        "nameserver 9.9.9.9\nsearch world own\noptions ndots:3\n")]
    #[case::host_network_with_cluster_dns(json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}),
        "nameserver 10.96.0.10\nsearch n.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")]
    #[case::own(json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.2.3.4"], "options": [{"name": "ndots", "value": "1"}]}}),
        "nameserver 1.2.3.4\noptions ndots:1\n")]
    #[case::option_replaced(json!({"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}}),
        "nameserver 10.96.0.10\nsearch n.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:1\n")]
    fn names_are_resolved_as_the_policy_says(#[case] spec: Value, #[case] expected: &str) {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"namespace": "n"}, "spec": spec})).unwrap();
        let dns = Dns {
            server: "10.96.0.10".to_owned(),
            domain: "cluster.local",
            world: "# the machine's\nnameserver 9.9.9.9\nsearch world\noptions ndots:1\n"
                .to_owned(),
        };
        assert_eq!(resolv_conf(&pod, &dns), expected);
    }

    #[test]
    fn a_sub_path_stays_in_its_volume() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("v");
        fs::create_dir(&base).unwrap();
        assert!(sub_path(&base, "new/dir", true).unwrap().is_dir());
        assert!(sub_path(&base, "..", true).is_err());
        assert!(sub_path(&base, "missing", false).is_err());
    }
}
