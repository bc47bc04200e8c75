//! The host's programs and libraries as the base of images.
//!
//! The harness's images contain no distribution: a shell, `ip`, `iptables` and the C library come
//! from the host, read-only. `/usr/local` is left out, because images put their own programs there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::images::TreeEntry;

/// Top-level directories of a distribution; each may be a directory or, on merged-usr hosts, a link
/// into `/usr`.
const TOP: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// The parts of `/usr` that programs need at run time.
const USR: &[&str] = &[
    "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "share",
];
/// The parts of `/etc` that the host's programs need: the linker's cache, the targets of links such
/// as `/usr/sbin/iptables`, names of protocols and services.
const ETC: &[&str] = &[
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "protocols",
    "services",
    "ethertypes",
    "iproute2",
    "terminfo",
    "bash.bashrc",
    "inputrc",
    "localtime",
    "gai.conf",
    "crypto-policies",
];
/// Where distributions keep the bundle of certificate authorities.
const CA_BUNDLES: &[&str] = &[
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
];
/// Where images expect that bundle: Debian's path, which Go, Envoy and pilot-agent all read.
const CA_AT: &str = "/etc/ssl/certs/ca-certificates.crt";

/// User and group that Istio's proxy and control plane run as.
pub const ISTIO_UID: u32 = 1337;

/// Writable directories of every container, and the users that programs look up.
pub fn skeleton() -> Vec<TreeEntry> {
    let passwd = format!(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n\
         istio-proxy:x:{ISTIO_UID}:{ISTIO_UID}:istio-proxy:/home/istio-proxy:/bin/false\n"
    );
    let group = format!("root:x:0:\ntty:x:5:\nnogroup:x:65534:\nistio-proxy:x:{ISTIO_UID}:\n");
    let mut tree: Vec<TreeEntry> = [
        ("/tmp", 0o1777),
        ("/run", 0o755),
        ("/var", 0o755),
        ("/var/run", 0o755),
        ("/var/lib", 0o755),
        ("/var/log", 0o755),
        ("/var/tmp", 0o1777),
        ("/etc", 0o755),
        ("/root", 0o700),
        ("/home", 0o755),
        ("/usr", 0o755),
        ("/usr/local", 0o755),
        ("/usr/local/bin", 0o755),
    ]
    .into_iter()
    .map(|(at, mode)| TreeEntry::dir(at, mode))
    .collect();
    tree.push(TreeEntry::file("/etc/passwd", passwd));
    tree.push(TreeEntry::file("/etc/group", group));
    tree.push(TreeEntry::file(
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ));
    tree
}

/// The host's certificate authorities at the path where programs expect them; empty if the host has
/// none.
pub fn authorities(root: &Path) -> Vec<TreeEntry> {
    let Some(bundle) = CA_BUNDLES
        .iter()
        .find_map(|at| fs::canonicalize(root.join(at)).ok())
    else {
        return Vec::new();
    };
    vec![
        TreeEntry::dir("/etc/ssl", 0o755),
        TreeEntry::dir("/etc/ssl/certs", 0o755),
        TreeEntry::bind(bundle, CA_AT),
    ]
}

/// The host's programs, libraries and the few settings that they need, below `root` (`/` except in
/// tests).
///
/// # Errors
/// An existing directory cannot be read.
pub fn programs(root: &Path) -> io::Result<Vec<TreeEntry>> {
    let mut tree = Vec::new();
    let top = TOP.iter().map(PathBuf::from);
    let usr = USR.iter().map(|name| Path::new("usr").join(name));
    let etc = ETC.iter().map(|name| Path::new("etc").join(name));
    for path in usr.chain(top).chain(etc) {
        tree.extend(mirror(root, &path)?);
    }
    Ok(tree)
}

/// The entry that makes `path` appear in the container as it is below `root`: links are kept,
/// except in `/etc`, and everything else is bound. `None` if the host has no such file.
fn mirror(root: &Path, path: &Path) -> io::Result<Option<TreeEntry>> {
    let (host, at) = (root.join(path), Path::new("/").join(path));
    match fs::symlink_metadata(&host) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(meta) if meta.is_symlink() && !path.starts_with("etc") => {
            Ok(Some(TreeEntry::link(at, fs::read_link(&host)?)))
        }
        Ok(_) => match fs::canonicalize(&host) {
            Ok(real) => Ok(Some(TreeEntry::bind(real, at))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None), // a dangling link
            Err(error) => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::symlink;

    fn find<'a>(tree: &'a [TreeEntry], at: &str) -> Option<&'a TreeEntry> {
        tree.iter().find(|entry| entry.at() == Path::new(at))
    }

    #[rstest]
    #[case::merged_usr(true)]
    #[case::split_usr(false)]
    fn lib_is_a_link_or_a_bind_as_on_the_host(#[case] merged: bool) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        match merged {
            true => symlink("usr/lib", root.path().join("lib")).unwrap(),
            false => fs::create_dir(root.path().join("lib")).unwrap(),
        }
        let tree = programs(root.path()).unwrap();
        let real = fs::canonicalize(root.path()).unwrap();
        let expected = match merged {
            true => TreeEntry::link("/lib", "usr/lib"),
            false => TreeEntry::bind(real.join("lib"), "/lib"),
        };
        assert_eq!(find(&tree, "/lib"), Some(&expected));
        assert_eq!(
            find(&tree, "/usr/lib"),
            Some(&TreeEntry::bind(real.join("usr/lib"), "/usr/lib"))
        );
    }

    #[test]
    fn what_the_host_lacks_or_keeps_for_itself_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/local/bin")).unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        symlink("/nowhere/at/all", root.path().join("etc/localtime")).unwrap();
        assert_eq!(programs(root.path()).unwrap(), Vec::new());
        assert_eq!(authorities(root.path()), Vec::new());
    }

    #[test]
    fn the_ca_bundle_of_any_distribution_lands_in_one_place() {
        let root = tempfile::tempdir().unwrap();
        let bundle = root.path().join("etc/pki/tls/certs/ca-bundle.crt");
        fs::create_dir_all(bundle.parent().unwrap()).unwrap();
        fs::write(&bundle, "pem").unwrap();
        let tree = authorities(root.path());
        assert_eq!(
            find(&tree, CA_AT),
            Some(&TreeEntry::bind(fs::canonicalize(bundle).unwrap(), CA_AT))
        );
    }

    #[test]
    fn this_host_gives_a_shell_with_parents_before_children() {
        let tree: Vec<TreeEntry> = skeleton()
            .into_iter()
            .chain(programs(Path::new("/")).unwrap())
            .collect();
        assert!(find(&tree, "/usr/bin").is_some() && find(&tree, "/bin").is_some());
        assert!(
            !tree
                .iter()
                .any(|e| matches!(e, TreeEntry::Bind { at, .. } if at.starts_with("/usr/local")))
        );
        for (index, entry) in tree.iter().enumerate() {
            let late = tree[index + 1..]
                .iter()
                .find(|later| entry.at() != later.at() && entry.at().starts_with(later.at()));
            assert!(
                late.is_none(),
                "{:?} comes after {:?}, which lies inside it",
                late.unwrap(),
                entry
            );
        }
    }
}
