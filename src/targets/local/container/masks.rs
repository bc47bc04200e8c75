//! Hides the kernel's settings and switches from a container: they belong to the machine, not to
//! the world.
//!
//! The paths are those of common container runtimes (OCI runtime specification, "Masked Paths"
//! and "Readonly Paths"; moby `daemon/pkg/oci/defaults.go`). In a world started by root, user 0
//! is the machine's root, and many files of `/proc` require no more than that, so everything in
//! `/proc` that is not a process is read-only, whatever a kernel names it. No container can
//! remove a mask: without `SYS_ADMIN` it cannot change mounts, and the kernel rejects a new
//! `/proc` where the existing one is partly covered (mount_namespaces(7)).

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use nix::mount::{MsFlags, mount};

use super::{
    error::ContainerError,
    root::{bind, read_only},
};

/// Not even readable: they expose the machine, or other users' keys.
const MASKED: [&str; 13] = [
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/kmsg",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "proc/vmallocinfo",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

/// Masks and protects `/proc` and `/sys` in the container's root; `/dev` must exist.
pub(super) fn apply(root: &Path) -> Result<(), ContainerError> {
    for path in MASKED {
        let place = root.join(path);
        mask(root, &place).map_err(ContainerError::io(format!("mask /{path}")))?;
    }
    let proc = root.join("proc");
    let list = || ContainerError::io("list /proc in the container");
    for entry in fs::read_dir(&proc).map_err(list())? {
        let entry = entry.map_err(list())?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let masked = MASKED.contains(&format!("proc/{name}").as_str());
        if masked || !is_setting(&entry) {
            continue;
        }
        let path = Path::new("/proc").join(&*name);
        bind(root, &entry.path(), &path, true)?;
    }
    Ok(())
}

/// Whether the entry can be written to and is not a process: a directory of settings, or a file
/// with a write permission. The links `self`, `thread-self`, `net` and `mounts` lead to
/// processes.
fn is_setting(entry: &fs::DirEntry) -> bool {
    let process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    if entry.file_name().to_str().is_none_or(process) {
        return false;
    }
    let Ok(meta) = entry.metadata() else {
        return true; // protect what cannot be inspected
    };
    !meta.is_symlink() && (meta.is_dir() || meta.permissions().mode() & 0o222 != 0)
}

/// Covers a file with `/dev/null` and a directory with an empty one. A missing path needs no
/// cover.
fn mask(root: &Path, place: &Path) -> io::Result<()> {
    let Ok(meta) = fs::symlink_metadata(place) else {
        return Ok(());
    };
    let none = None::<&str>;
    if meta.is_dir() {
        let flags =
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let options = Some("size=4k,nr_inodes=1,mode=555");
        return Ok(mount(Some("tmpfs"), place, Some("tmpfs"), flags, options)?);
    }
    let null = root.join("dev/null");
    mount(Some(&null), place, none, MsFlags::MS_BIND, none)?;
    read_only(place)
}
