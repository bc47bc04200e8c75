//! Builds a container's root file system: a small tmpfs with bind mounts from the image and the
//! pod.
//!
//! An overlay over `/` is rejected in a user namespace; bind mounts into a tmpfs work everywhere.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::{self, Error},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            ffi::OsStringExt as _,
            fs::{PermissionsExt, symlink},
        },
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2},
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statvfs::{FsFlags, statvfs},
    unistd::{chdir, pivot_root},
};

use super::{
    error::ContainerError,
    masks,
    spec::{ContainerSpec, MountSpec, RootEntry},
};

/// Devices that every container has (OCI runtime specification, "Default Devices").
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links of `/dev` (OCI runtime specification, "Dev symbolic links").
const DEV_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// A container's own writable files are in memory, with a limit: a program that fills its disk
/// must not fill the machine's.
const ROOT_OPTIONS: &str = "mode=755,size=256m";
/// Symbolic links followed before the path counts as a loop; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// Builds the root that `spec` describes and enters it. The calling process must have its own
/// mount namespace.
pub(super) fn build_and_enter(spec: &ContainerSpec) -> Result<(), ContainerError> {
    let root = spec.root.as_path();
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(ContainerError::kernel("make the mounts private"))?;
    mount(
        Some("tmpfs"),
        root,
        Some("tmpfs"),
        MsFlags::MS_NOSUID,
        Some(ROOT_OPTIONS),
    )
    .map_err(ContainerError::kernel(format!(
        "mount a tmpfs at {}",
        root.display()
    )))?;
    for entry in &spec.tree {
        add_entry(root, entry)?;
    }
    kernel_filesystems(root)?;
    masks::apply(root)?;
    let mut mounts: Vec<&MountSpec> = spec.mounts.iter().collect();
    mounts.sort_by_key(|mount| mount.target.components().count());
    // Mount everything writable first: the mount point of a volume may be inside another volume,
    // and the kubelet creates it there even if that other volume is read-only.
    for mount in &mounts {
        let step = format!("open {} for the container", mount.source.display());
        let source = pinned(&mount.source).map_err(ContainerError::io(step))?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", source.as_raw_fd()));
        bind(root, &path, &mount.target, false)?;
    }
    for mount in mounts.iter().filter(|mount| mount.read_only) {
        let place = resolve_in_root(root, &mount.target).map_err(at(&mount.target))?;
        read_only(&place).map_err(at(&mount.target))?;
    }
    let workdir = resolve_in_root(root, &spec.workdir).map_err(at(&spec.workdir))?;
    if !workdir.exists() {
        fs::create_dir_all(&workdir).map_err(at(&spec.workdir))?;
    }
    if spec.read_only_root {
        read_only(root).map_err(at(Path::new("/")))?;
    }
    enter(root).map_err(ContainerError::io("move into the new root"))
}

/// Opens a volume without following symbolic links. Its path was resolved before and has none,
/// but a container that shares the volume may have created one since, which would lead to a file
/// of the machine (in the kubelet, this was CVE-2021-25741).
fn pinned(source: &Path) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(AT_FDCWD, source, how) {
        Ok(fd) => Ok(fd),
        // Linux before 5.6.
        Err(Errno::ENOSYS) if fs::canonicalize(source)? == source => {
            Ok(fs::File::open(source)?.into())
        }
        Err(Errno::ELOOP | Errno::ENOSYS) => Err(Error::other("its path contains a symbolic link")),
        Err(error) => Err(error.into()),
    }
}

fn at(path: &Path) -> impl FnOnce(Error) -> ContainerError + use<> {
    ContainerError::make(path)
}

fn add_entry(root: &Path, entry: &RootEntry) -> Result<(), ContainerError> {
    match entry {
        RootEntry::Bind {
            host,
            at,
            read_only,
        } => bind(root, host, at, *read_only),
        RootEntry::File { at: path, contents } => {
            write_file(root, path, contents).map_err(at(path))
        }
        RootEntry::Link { at: path, to } => make_link(root, path, to).map_err(at(path)),
        RootEntry::Dir { at: path, mode } => make_dir(root, path, *mode).map_err(at(path)),
    }
}

fn make_dir(root: &Path, path: &Path, mode: u32) -> io::Result<()> {
    let place = resolve_in_root(root, path)?;
    fs::create_dir_all(&place)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(mode))
}

fn write_file(root: &Path, path: &Path, contents: &[u8]) -> io::Result<()> {
    let place = resolve_in_root(root, path)?;
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&place, contents)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644))
}

/// The last component itself is not resolved: it becomes the link. An empty directory there is
/// replaced.
fn make_link(root: &Path, path: &Path, to: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::other("a link needs a name"));
    };
    let parent = resolve_in_root(root, parent)?;
    fs::create_dir_all(&parent)?;
    let place = parent.join(name);
    match fs::symlink_metadata(&place) {
        Ok(meta) if meta.is_dir() => fs::remove_dir(&place)?,
        Ok(_) => fs::remove_file(&place)?,
        Err(_) => {}
    }
    symlink(to, place)
}

/// Bind-mounts `source` at `target` in the root, where a missing file or directory is created.
///
/// Mounts below `source` are included. `ro` applies to each of them; otherwise they would stay
/// writable.
pub(super) fn bind(
    root: &Path,
    source: &Path,
    target: &Path,
    ro: bool,
) -> Result<(), ContainerError> {
    let (from, to) = (source.display(), target.display());
    let explain =
        |error: Error| ContainerError::io(format!("mount {from} at {to} in the container"))(error);
    let place = resolve_in_root(root, target).map_err(explain)?;
    let meta = fs::metadata(source).map_err(explain)?;
    if !place.exists() {
        if meta.is_dir() {
            fs::create_dir_all(&place).map_err(explain)?;
        } else {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent).map_err(explain)?;
            }
            fs::File::create(&place).map_err(explain)?;
        }
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source), &place, None::<&str>, flags, None::<&str>)
        .map_err(|error| explain(error.into()))?;
    if ro {
        for below in mounts_at(&place).map_err(explain)? {
            read_only(&below).map_err(explain)?;
        }
    }
    Ok(())
}

/// The mount at `place` and all mounts below it (proc(5), `mountinfo`, field 5), each once.
fn mounts_at(place: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read("/proc/self/mountinfo")?;
    let mut found = BTreeSet::from([place.to_owned()]);
    found.extend(mount_points(&text).filter(|point| point.starts_with(place)));
    Ok(found.into_iter().collect())
}

/// Mount points in the text of `mountinfo`, where blanks and backslashes are escaped as `\ooo`.
fn mount_points(mountinfo: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescaped(field))))
    })
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped.filter(|_| first == b'\\') {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// Remounts one mount read-only. In a user namespace the flags that the mount already has are
/// locked and must be given again.
pub(super) fn read_only(place: &Path) -> io::Result<()> {
    let has = statvfs(place)?.flags();
    let pairs = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    let kept = pairs
        .iter()
        .filter(|(on, _)| has.contains(*on))
        .fold(MsFlags::empty(), |all, (_, flag)| all | *flag);
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | kept;
    Ok(mount(
        None::<&str>,
        place,
        None::<&str>,
        flags,
        None::<&str>,
    )?)
}

/// `/proc`, `/sys` and `/dev`.
fn kernel_filesystems(root: &Path) -> Result<(), ContainerError> {
    let make = |path: &str| {
        let place = root.join(path);
        fs::create_dir_all(&place)
            .map(|()| place)
            .map_err(at(&Path::new("/").join(path)))
    };
    let proc = make("proc")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if mount(Some("proc"), &proc, Some("proc"), flags, None::<&str>).is_err() {
        // rejected where the world's own /proc is partly covered; /proc/self works through the
        // world's /proc as well
        bind(root, Path::new("/proc"), Path::new("/proc"), false)?;
    }
    make("sys")?;
    bind(root, Path::new("/sys"), Path::new("/sys"), true)?;
    let dev = make("dev")?;
    mount(
        Some("tmpfs"),
        &dev,
        Some("tmpfs"),
        MsFlags::MS_NOSUID,
        Some("mode=755,size=64k"),
    )
    .map_err(ContainerError::kernel("mount /dev in the container"))?;
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        // The device node is the machine's: a read-only mount protects its mode and owner, while
        // the device can still be read and written.
        bind(root, &path, &path, true)?;
    }
    for (name, to) in DEV_LINKS {
        symlink(to, dev.join(name)).map_err(at(&Path::new("/dev").join(name)))?;
    }
    let shm = make("dev/shm")?;
    mount(
        Some("shm"),
        &shm,
        Some("tmpfs"),
        flags,
        Some("mode=1777,size=64m"),
    )
    .map_err(ContainerError::kernel("mount /dev/shm in the container"))?;
    let pts = make("dev/pts")?;
    let options = "newinstance,ptmxmode=0666,mode=0620";
    if mount(
        Some("devpts"),
        &pts,
        Some("devpts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some(options),
    )
    .is_ok()
    {
        symlink("pts/ptmx", dev.join("ptmx")).map_err(at(Path::new("/dev/ptmx")))?;
    }
    let tmp = make("tmp")?;
    fs::set_permissions(tmp, fs::Permissions::from_mode(0o1777)).map_err(at(Path::new("/tmp")))
}

/// Swaps the roots by stacking the old one over the new and detaching it, which needs no directory
/// for the old root.
fn enter(root: &Path) -> io::Result<()> {
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

/// Maps `path` in the container to a path below `root`, with every link resolved as if `root` were
/// `/`. Missing components stay as they are. The result is never outside `root`.
///
/// # Errors
/// If there are more than 40 links.
pub(super) fn resolve_in_root(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut todo: Vec<PathBuf> = vec![path.to_path_buf()];
    let mut done = PathBuf::new(); // relative to root
    let mut links = 0;
    while let Some(part) = todo.pop() {
        let mut parts = part.components();
        let Some(first) = parts.next() else { continue };
        let rest = parts.as_path();
        if !rest.as_os_str().is_empty() {
            todo.push(rest.to_path_buf());
        }
        match first {
            Component::RootDir | Component::Prefix(_) => done = PathBuf::new(),
            Component::CurDir => {}
            Component::ParentDir => {
                done.pop();
            }
            Component::Normal(name) => match fs::read_link(root.join(&done).join(name)) {
                Ok(to) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Error::other(format!(
                            "too many symbolic links in {}",
                            path.display()
                        )));
                    }
                    todo.push(to);
                }
                Err(_) => done.push(name),
            },
        }
    }
    Ok(root.join(done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("/a/b", "a/b")]
    #[case::absolute_link("/var/run/secrets", "run/secrets")]
    #[case::relative_link("/opt/up/x", "run/x")]
    #[case::link_at_the_end("/var/run", "run")]
    #[case::cannot_escape("/../../etc/x", "etc/x")]
    #[case::escape_by_link("/opt/out/etc", "etc")]
    #[case::missing_stays("/no/such/./path", "no/such/path")]
    fn links_are_resolved_inside_the_root(#[case] path: &str, #[case] expected: &str) {
        let root = tempfile::tempdir().unwrap();
        for dir in ["var", "run", "opt"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        symlink("/run", root.path().join("var/run")).unwrap();
        symlink("../run", root.path().join("opt/up")).unwrap();
        symlink("../../../..", root.path().join("opt/out")).unwrap();
        assert_eq!(
            resolve_in_root(root.path(), Path::new(path)).unwrap(),
            root.path().join(expected)
        );
    }

    #[test]
    fn a_volume_that_has_become_a_link_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(dir.join("real")).unwrap();
        symlink("/etc", dir.join("swapped")).unwrap();
        assert!(pinned(&dir.join("real")).is_ok());
        assert!(pinned(&dir.join("swapped")).is_err());
        assert!(pinned(&dir.join("swapped/passwd")).is_err());
    }

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let text =
            b"22 1 0:21 / /a rw shared:2 - proc proc rw\n23 22 0:5 / /a/b\\040c rw - tmpfs x rw\n";
        let points: Vec<PathBuf> = mount_points(text).collect();
        assert_eq!(points, [PathBuf::from("/a"), PathBuf::from("/a/b c")]);
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert!(resolve_in_root(root.path(), Path::new("/a/x")).is_err());
    }
}
