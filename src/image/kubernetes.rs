//! The input of `kind build node-image --type file`: one gzip archive of Kubernetes' programs and
//! of every image that a node starts with. kind fetches what the archive lacks, so with a complete
//! archive no registry is needed.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

use flate2::{Compression, write::GzEncoder};

use super::{
    ArchiveError,
    error::unwritable,
    save::{Archive, Layer, Layered, Members, Start},
    whole::whole,
};
use crate::toolchain::TreeEntry;

/// kind reads the images of the control plane from one archive each; the last one may contain
/// others too.
const MAIN: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
];
/// The programs that kind installs on a node.
const PROGRAMS: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];
/// meshproof's pod network.
const PODNET: &str = "docker.io/local/podnet:dev";
/// kind's source files with the image names of its own network and storage.
const KINDS_OWN: [&str; 2] = ["const_cni.go", "const_storage.go"];
/// Number of these images.
const KINDS_IMAGES: usize = 3;

/// The inputs of a cluster's images.
#[derive(Debug, Clone, Copy)]
pub struct KubernetesImageInputs<'a> {
    /// The tool chain's set of the control plane.
    pub control_plane: &'a Path,
    /// The tool chain's set of kind and a node's programs.
    pub kind: &'a Path,
    /// An uncompressed tar of a Debian tree: the base image of kube-proxy and the pod network.
    pub userland: &'a Path,
}

/// Writes the archive to the file `to`, atomically.
///
/// # Errors
/// A program cannot be read or run, kind's files are not as expected, or the archive cannot be
/// written.
pub fn write(parts: KubernetesImageInputs<'_>, to: &Path) -> Result<(), ArchiveError> {
    let kubeadm = parts.kind.join("bin/kubeadm");
    let version = output(&kubeadm, ["version", "-o", "short"])?;
    let version = version.trim();
    let args = ["config", "images", "list", "--kubernetes-version", version];
    let names = names(parts, &kubeadm, &output(&kubeadm, args)?)?;
    write_as(parts, version, &names, to)
}

fn write_as(
    parts: KubernetesImageInputs<'_>,
    version: &str,
    names: &BTreeMap<String, Vec<String>>,
    to: &Path,
) -> Result<(), ArchiveError> {
    let mut images = images(parts, names)?;
    whole(to, |file| {
        // Without compression: the archive is read once and then removed.
        let mut file = GzEncoder::new(BufWriter::new(file), Compression::none());
        let mut tar = Members::new(&mut file);
        let failed = |source| unwritable(to, source);
        tar.add("kubernetes/version", 0o644, version.as_bytes())
            .map_err(failed)?;
        for program in PROGRAMS {
            add_program(&mut tar, program, parts.kind, to)?;
        }
        for (place, main) in MAIN.into_iter().enumerate() {
            let mut held: Vec<Layered> = images.remove(main).into_iter().collect();
            if place + 1 == MAIN.len() {
                held.extend(std::mem::take(&mut images).into_values());
            }
            let archive = Archive::of(&held);
            let name = format!("kubernetes/server/bin/{main}.tar");
            tar.begin(&name, 0o644, archive.bytes()).map_err(failed)?;
            archive.write(tar.contents(), to)?;
            tar.end(archive.bytes()).map_err(failed)?;
        }
        let ended = tar.finish().and_then(|()| file.finish()?.flush());
        ended.map_err(failed)
    })
}

fn add_program(
    tar: &mut Members<'_, impl Write>,
    name: &str,
    kind: &Path,
    to: &Path,
) -> Result<(), ArchiveError> {
    let path = kind.join("bin").join(name);
    let contents = fs::read(&path).map_err(|source| unreadable(name, path, source))?;
    let at = format!("kubernetes/server/bin/{name}");
    tar.add(&at, 0o755, &contents)
        .map_err(|source| unwritable(to, source))
}

/// The images by the last component of their repository.
fn images(
    parts: KubernetesImageInputs<'_>,
    names: &BTreeMap<String, Vec<String>>,
) -> Result<BTreeMap<&'static str, Layered>, ArchiveError> {
    let base = Rc::new(Layer::of_tar("kube-proxy", parts.userland)?);
    let (ours, kinds) = (parts.control_plane.join("bin"), parts.kind.join("bin"));
    let local = "/usr/local/bin/";
    // Name, host directory of its program, path prefix in the image, whether it has the userland as
    // its base.
    let programs = [
        ("kube-apiserver", &ours, local, false),
        ("kube-controller-manager", &ours, local, false),
        ("kube-scheduler", &kinds, local, false),
        ("kube-proxy", &ours, local, true),
        ("etcd", &ours, local, false),
        ("coredns", &ours, "/", false),
        ("podnet", &kinds, local, true),
    ];
    let mut images = BTreeMap::new();
    for (name, folder, at, on_userland) in programs {
        let program = format!("{at}{name}");
        let tree = vec![
            TreeEntry::dir("/tmp", 0o1777),
            TreeEntry::bind(folder.join(name), &program),
        ];
        let below = on_userland.then(|| base.clone()).into_iter();
        let layers = below.chain([Rc::new(Layer::of_tree(name, tree)?)]);
        let start = Start {
            entrypoint: vec![program],
            ..Start::default()
        };
        let names = names[name].clone();
        images.insert(name, Layered::new(names, layers.collect(), &start));
    }
    let tree = vec![TreeEntry::bind(kinds.join("pause"), "/pause")];
    let start = Start {
        entrypoint: vec!["/pause".to_owned()],
        user: "65535:65535".to_owned(),
        ..Start::default()
    };
    let layers = vec![Rc::new(Layer::of_tree("pause", tree)?)];
    let names = names["pause"].clone();
    images.insert("pause", Layered::new(names, layers, &start));
    Ok(images)
}

/// The names of each image: those that kubeadm has `listed`; for the pause image, the one that
/// containerd uses and those of images that are never started.
fn names(
    parts: KubernetesImageInputs<'_>,
    kubeadm: &Path,
    listed: &str,
) -> Result<BTreeMap<String, Vec<String>>, ArchiveError> {
    let share = parts.kind.join("share");
    let mut found: BTreeMap<String, Vec<String>> = listed
        .split_whitespace()
        .map(|name| (last_part(name).to_owned(), vec![name.to_owned()]))
        .collect();
    found.insert("podnet".to_owned(), vec![PODNET.to_owned()]);
    found.insert("pause".to_owned(), pause_names(&share)?);
    let expected = MAIN.into_iter().chain(["etcd", "coredns"]);
    for name in expected {
        if !found.contains_key(name) {
            let answer = format!("it lists no image {name}, only {listed}");
            let program = kubeadm.to_owned();
            return Err(ArchiveError::Command { program, answer });
        }
    }
    Ok(found)
}

/// `kube-proxy` of `registry.k8s.io/kube-proxy:v1.36.3`.
fn last_part(name: &str) -> &str {
    let repository = name.rsplit_once(':').map_or(name, |(before, _)| before);
    repository
        .rsplit_once('/')
        .map_or(repository, |(_, last)| last)
}

/// The pause image substitutes for the images of kind's network and storage, which kind's builder
/// requires and which never run here.
fn pause_names(share: &Path) -> Result<Vec<String>, ArchiveError> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|source| unreadable("pause", path.to_owned(), source))
    };
    let settings = share.join("node/etc/containerd/config.toml");
    let text = read(&settings)?;
    let sandbox = text.lines().find_map(|line| value(line, "sandbox_image"));
    let mut names = vec![sandbox.ok_or_else(|| ArchiveError::NotThere {
        path: settings.clone(),
        what: "sandbox_image",
    })?];
    for file in KINDS_OWN {
        let text = read(&share.join(file))?;
        names.extend(text.lines().filter_map(constant));
    }
    match names.len() == 1 + KINDS_IMAGES {
        true => Ok(names),
        false => Err(ArchiveError::NotThere {
            path: share.to_owned(),
            what: "three images of its network and storage in kind's sources",
        }),
    }
}

/// The text in `key = "text"`.
fn value(line: &str, key: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix(key)?.trim_start();
    let text = rest.strip_prefix('=')?.trim_start().strip_prefix('"')?;
    text.split_once('"').map(|(text, _)| text.to_owned())
}

/// The text of a Go constant whose name ends with `Image`.
fn constant(line: &str) -> Option<String> {
    let rest = line.strip_prefix("const ")?;
    let (name, _) = rest.split_once(' ')?;
    let image = name.ends_with("Image").then(|| value(rest, name));
    image.flatten()
}

/// A program's stdout.
fn output<'a>(
    program: &Path,
    args: impl IntoIterator<Item = &'a str>,
) -> Result<String, ArchiveError> {
    let failed = |answer: String| ArchiveError::Command {
        program: program.to_owned(),
        answer,
    };
    let mut command = Command::new(program);
    let output = command
        .args(args.into_iter().map(OsStr::new))
        .output()
        .map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

fn unreadable(image: &str, path: PathBuf, source: io::Error) -> ArchiveError {
    ArchiveError::Unreadable {
        image: image.to_owned(),
        path,
        source,
    }
}

#[cfg(test)]
#[path = "kubernetes_tests.rs"]
mod tests;
