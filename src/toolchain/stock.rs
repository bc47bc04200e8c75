//! The built-in images of the local node, and those that the user adds with `--image`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf, absolute},
};

use super::{
    grpcio::INTERPRETER,
    images::{Image, ImageError, TreeEntry},
    interpreter,
    userland::{self, ISTIO_UID},
};

/// The program of the grpcio reference client.
const GRPCIO_CALLER: &str = include_str!("../../fixtures/python/caller.py");

/// `hub` of the Istio installation whose images these are.
pub const HUB: &str = "local";
/// `tag` of the Istio installation whose images these are.
pub const TAG: &str = "dev";

/// Directories of a user's tree that are created anew with each child bound into them, so that
/// volumes can be mounted next to the children.
const OPENED: &[&str] = &[
    "/",
    "/etc",
    "/home",
    "/opt",
    "/run",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/local",
    "/var",
    "/var/lib",
    "/var/run",
];

fn image(repository: &str, entrypoint: &[&str], tree: Vec<TreeEntry>) -> Image {
    Image {
        name: format!("{HUB}/{repository}:{TAG}"),
        entrypoint: entrypoint.iter().map(|&word| word.to_owned()).collect(),
        env: vec![(
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        )],
        user: None,
        workdir: PathBuf::from("/"),
        tree,
    }
}

fn host_userland() -> std::io::Result<Vec<TreeEntry>> {
    let root = Path::new("/");
    let mut tree = userland::skeleton();
    tree.extend(userland::programs(root)?);
    tree.extend(userland::authorities(root));
    Ok(tree)
}

/// `local/pilot:dev`: istiod. Entrypoint and user are as in Istio's published image (pilot/docker
/// in istio.io/istio).
pub fn pilot(pilot_discovery: &Path) -> Image {
    let mut tree = userland::skeleton();
    tree.extend(userland::authorities(Path::new("/")));
    tree.push(TreeEntry::bind(
        pilot_discovery,
        "/usr/local/bin/pilot-discovery",
    ));
    Image {
        user: Some(ISTIO_UID),
        ..image("pilot", &["/usr/local/bin/pilot-discovery"], tree)
    }
}

/// `local/proxyv2:dev`: pilot-agent and Envoy, for sidecars, gateways and the init container that
/// writes iptables rules. `iptables`, `ip6tables`, `ip` and their libraries are the host's.
/// `envoy_version` becomes `ISTIO_META_ISTIO_PROXY_SHA`, which istiod shows as the proxy's build.
///
/// # Errors
/// The host's directories cannot be read.
pub fn proxy(
    agent: &Path,
    envoy: &Path,
    bootstrap_template: &Path,
    envoy_version: &str,
) -> std::io::Result<Image> {
    let mut tree = host_userland()?;
    tree.extend([
        TreeEntry::dir("/home/istio-proxy", 0o777),
        TreeEntry::dir("/var/lib/istio", 0o755),
        TreeEntry::dir("/var/lib/istio/envoy", 0o755),
        TreeEntry::bind(agent, "/usr/local/bin/pilot-agent"),
        TreeEntry::bind(envoy, "/usr/local/bin/envoy"),
        TreeEntry::bind(
            bootstrap_template,
            "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json",
        ),
    ]);
    let mut made = image("proxyv2", &["/usr/local/bin/pilot-agent"], tree);
    made.env.push((
        "ISTIO_META_ISTIO_PROXY_SHA".to_owned(),
        format!("envoy-{envoy_version}"),
    ));
    Ok(made)
}

/// `local/testbed:dev`: the static test bed binary in an otherwise empty root.
pub fn testbed(testbed: &Path) -> Image {
    let mut tree = userland::skeleton();
    tree.push(TreeEntry::bind(testbed, "/testbed"));
    image("testbed", &["/testbed"], tree)
}

/// `local/interop:dev`: reference clients and servers with other gRPC implementations, from the
/// directory of their programs, and the descriptor set of the test services.
pub fn interop(programs: &Path) -> Image {
    let mut tree = userland::skeleton();
    tree.extend([
        TreeEntry::bind(programs.join("interop"), "/interop"),
        TreeEntry::bind(programs.join("grpcurl"), "/usr/local/bin/grpcurl"),
        TreeEntry::dir("/proto", 0o755),
        TreeEntry::file("/proto/mypackage.binpb", ::testbed::proto::DESCRIPTORS),
    ]);
    image("interop", &["/interop"], tree)
}

/// `local/grpcio:dev`: a caller that uses gRPC's Python package, from a directory of packages.
/// Python is the host's.
///
/// # Errors
/// The host's directories cannot be read.
pub fn grpcio(packages: &Path) -> std::io::Result<Image> {
    Ok(grpcio_with(host_userland()?, packages))
}

/// The same image without the host's other programs, for copying to other nodes.
///
/// # Errors
/// The host's Python does not run or its files cannot be read.
pub fn grpcio_alone(packages: &Path) -> std::io::Result<Image> {
    let mut tree = userland::skeleton();
    tree.extend(interpreter::alone(packages)?);
    Ok(grpcio_with(tree, packages))
}

fn grpcio_with(mut tree: Vec<TreeEntry>, packages: &Path) -> Image {
    tree.extend([
        TreeEntry::bind(packages, "/packages"),
        TreeEntry::file("/caller.py", GRPCIO_CALLER),
        TreeEntry::dir("/proto", 0o755),
        TreeEntry::file("/proto/mypackage.binpb", ::testbed::proto::DESCRIPTORS),
    ]);
    let mut made = image("grpcio", &[INTERPRETER, "-u", "/caller.py"], tree);
    made.env
        .push(("PYTHONPATH".to_owned(), "/packages".to_owned()));
    made
}

/// `local/coredns:dev`: the cluster's DNS server.
pub fn coredns(coredns: &Path) -> Image {
    let mut tree = userland::skeleton();
    tree.extend(userland::authorities(Path::new("/")));
    tree.push(TreeEntry::bind(coredns, "/coredns"));
    image("coredns", &["/coredns"], tree)
}

/// `local/shell:dev`: a shell with the host's programs, for a user's `kubectl run`.
///
/// # Errors
/// The host's directories cannot be read.
pub fn shell() -> std::io::Result<Image> {
    Ok(image("shell", &["/bin/sh"], host_userland()?))
}

/// An image from `NAME=DIR[,ENTRYPOINT…]`: `DIR` is the root of the tree, mounted read-only, and
/// `ENTRYPOINT…` the program and its leading arguments. `DIR` can also be a static executable,
/// which is then the default entrypoint.
///
/// # Errors
/// [`ImageError`] if the syntax is wrong, the path cannot be read or there is nothing to run.
pub fn from_option(given: &str) -> Result<Image, ImageError> {
    let syntax = || ImageError::Syntax {
        given: given.to_owned(),
    };
    let (name, rest) = given.split_once('=').ok_or_else(syntax)?;
    let mut parts = rest.split(',').map(str::to_owned);
    let path = parts.next().unwrap_or_default();
    let mut entrypoint: Vec<String> = parts.collect();
    if name.is_empty() || path.is_empty() || entrypoint.iter().any(String::is_empty) {
        return Err(syntax());
    }
    let unreadable = |source| ImageError::Unreadable {
        name: name.to_owned(),
        path: PathBuf::from(&path),
        source,
    };
    let host = absolute(&path)
        .and_then(fs::canonicalize)
        .map_err(unreadable)?;
    let mut tree = Vec::new();
    if host.is_dir() {
        if entrypoint.is_empty() {
            return Err(ImageError::NoEntrypoint {
                name: name.to_owned(),
                path: PathBuf::from(path),
            });
        }
        open(&host, Path::new("/"), &mut tree).map_err(unreadable)?;
    } else {
        let at = Path::new("/").join(host.file_name().unwrap_or_default());
        if entrypoint.is_empty() {
            entrypoint.push(at.display().to_string());
        }
        tree.extend(userland::skeleton());
        tree.push(TreeEntry::bind(host, at));
    }
    Ok(Image {
        name: name.to_owned(),
        entrypoint,
        ..image("", &[], tree)
    })
}

/// Adds the children of a user's directory: links as links, the directories of [`OPENED`] created
/// anew, everything else bound.
fn open(host: &Path, at: &Path, tree: &mut Vec<TreeEntry>) -> std::io::Result<()> {
    let mut children = fs::read_dir(host)?.collect::<Result<Vec<_>, _>>()?;
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let (host, at, kind) = (child.path(), at.join(child.file_name()), child.file_type()?);
        if kind.is_symlink() {
            tree.push(TreeEntry::link(at, fs::read_link(&host)?));
        } else if kind.is_dir() && OPENED.iter().any(|opened| at == Path::new(opened)) {
            tree.push(TreeEntry::dir(
                &at,
                child.metadata()?.permissions().mode() & 0o7777,
            ));
            open(&host, &at, tree)?;
        } else {
            tree.push(TreeEntry::bind(host, at));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn has(image: &Image, at: &str) -> bool {
        image.tree.iter().any(|entry| entry.at() == Path::new(at))
    }

    #[test]
    fn the_proxy_brings_its_programs_and_none_of_the_hosts_local_ones() {
        let made = proxy(
            Path::new("/t/pilot-agent"),
            Path::new("/t/envoy"),
            Path::new("/t/b.json"),
            "1.39.3",
        )
        .unwrap();
        assert_eq!(made.name, "local/proxyv2:dev");
        for at in [
            "/usr/local/bin/pilot-agent",
            "/usr/local/bin/envoy",
            "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json",
            "/usr/sbin",
        ] {
            assert!(has(&made, at), "{at} is missing");
        }
        assert!(
            !made
                .tree
                .contains(&TreeEntry::bind("/usr/local/bin", "/usr/local/bin"))
        );
        assert!(
            made.env
                .iter()
                .any(|(name, value)| name == "ISTIO_META_ISTIO_PROXY_SHA"
                    && value.contains("1.39.3"))
        );
    }

    #[test]
    fn istiod_runs_as_the_user_of_its_published_image() {
        assert_eq!(pilot(Path::new("/t/pilot-discovery")).user, Some(1337));
    }

    #[test]
    fn a_users_directory_keeps_links_and_leaves_room_for_volumes() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::create_dir_all(root.path().join("etc/app")).unwrap();
        symlink("usr/bin", root.path().join("bin")).unwrap();
        let made =
            from_option(&format!("app:1={},/bin/app,--serve", root.path().display())).unwrap();
        let host = fs::canonicalize(root.path()).unwrap();
        assert_eq!(
            (made.name.as_str(), made.entrypoint.join(" ")),
            ("app:1", "/bin/app --serve".to_owned())
        );
        assert!(made.tree.contains(&TreeEntry::link("/bin", "usr/bin")));
        assert!(matches!(
            made.tree.iter().find(|e| e.at() == Path::new("/etc")),
            Some(TreeEntry::Dir { .. })
        ));
        assert!(
            made.tree
                .contains(&TreeEntry::bind(host.join("etc/app"), "/etc/app"))
        );
        assert!(
            made.tree
                .contains(&TreeEntry::bind(host.join("usr/bin"), "/usr/bin"))
        );
    }

    #[test]
    fn one_static_program_is_an_image() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("app"), "").unwrap();
        let made = from_option(&format!("app={}/app", dir.path().display())).unwrap();
        assert_eq!(made.entrypoint, ["/app"]);
        assert!(has(&made, "/app") && has(&made, "/tmp"));
    }

    #[rstest::rstest]
    #[case::no_directory("app")]
    #[case::no_name("=/tmp")]
    #[case::empty_word("app=/tmp,")]
    #[case::not_there("app=/does/not/exist,/x")]
    #[case::nothing_to_run("app=/")]
    fn a_bad_option_is_refused_by_name(#[case] given: &str) {
        let answer = from_option(given).unwrap_err().to_string();
        assert!(answer.starts_with("--image"), "{answer}");
    }
}
