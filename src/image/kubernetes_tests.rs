use std::{io::Read as _, os::unix::fs::symlink};

use flate2::read::GzDecoder;
use rstest::rstest;

use super::*;
use crate::image::list;

const LISTED: &str = "registry.k8s.io/kube-apiserver:v1.36.3
registry.k8s.io/kube-controller-manager:v1.36.3
registry.k8s.io/kube-scheduler:v1.36.3
registry.k8s.io/kube-proxy:v1.36.3
registry.k8s.io/coredns/coredns:v1.12.1
registry.k8s.io/pause:3.10
registry.k8s.io/etcd:3.6.4-0
";

/// Sets of the tool chain, with a few bytes instead of each program.
fn sets(dir: &Path) {
    let write = |path: &str, contents: &str| {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    };
    for name in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "etcd",
        "coredns",
    ] {
        write(&format!("ours/bin/{name}"), name);
    }
    for name in [
        "kubeadm",
        "kubelet",
        "kubectl",
        "kube-scheduler",
        "podnet",
        "pause",
    ] {
        write(&format!("kind/bin/{name}"), name);
    }
    let settings = "[plugins]\n  sandbox_image = \"registry.k8s.io/pause:3.10.1\"\n";
    write("kind/share/node/etc/containerd/config.toml", settings);
    let cni = "package nodeimage\n\nconst kindnetdImage = \"docker.io/kindest/kindnetd:v1\"\n";
    write("kind/share/const_cni.go", cni);
    let storage = "const storageProvisionerImage = \"docker.io/kindest/provisioner:v1\"\nconst storageHelperImage = \"docker.io/kindest/helper:v1\"\n";
    write("kind/share/const_storage.go", storage);
    write("userland.tar", "");
}

/// The files of the archive built from these sets.
fn unpacked(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (ours, kind) = (dir.join("ours"), dir.join("kind"));
    let parts = KubernetesImageInputs {
        control_plane: &ours,
        kind: &kind,
        userland: &dir.join("userland.tar"),
    };
    let (to, kubeadm) = (dir.join("server.tar.gz"), kind.join("bin/kubeadm"));
    let names = names(parts, &kubeadm, LISTED).unwrap();
    write_as(parts, "v1.36.3", &names, &to).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(to).unwrap()));
    let read = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        (name, contents)
    });
    read.collect()
}

#[test]
fn a_node_gets_programs_and_every_image_under_the_names_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    sets(dir.path());
    let files = unpacked(dir.path());
    let at = |name: &str| &files[&format!("kubernetes/server/bin/{name}")];
    assert_eq!(files["kubernetes/version"], b"v1.36.3");
    assert_eq!(at("kubelet"), b"kubelet");
    let named = |archive: &str| {
        let path = dir.path().join("one.tar");
        fs::write(&path, at(archive)).unwrap();
        let images = list(&path).unwrap();
        images
            .into_iter()
            .flat_map(|image| image.names)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        named("kube-apiserver.tar"),
        ["registry.k8s.io/kube-apiserver:v1.36.3"]
    );
    let rest = named("kube-proxy.tar");
    for name in [
        "registry.k8s.io/kube-proxy:v1.36.3",
        "registry.k8s.io/coredns/coredns:v1.12.1",
        "registry.k8s.io/etcd:3.6.4-0",
        "registry.k8s.io/pause:3.10.1", // as in containerd's configuration, not kubeadm's list
        "docker.io/kindest/kindnetd:v1",
        "docker.io/kindest/helper:v1",
        "docker.io/local/podnet:dev",
    ] {
        assert!(rest.iter().any(|found| found == name), "{name}: {rest:?}");
    }
    assert_eq!((files.len(), rest.len()), (8, 8), "{rest:?}");
}

#[rstest]
#[case::pause(
    "kind/share/node/etc/containerd/config.toml",
    "x = 1",
    "no sandbox_image"
)]
#[case::networks(
    "kind/share/const_cni.go",
    "const kindnetdIMAGE = \"x\"",
    "three images"
)]
fn a_kind_of_other_words_is_told(#[case] file: &str, #[case] text: &str, #[case] answer: &str) {
    let dir = tempfile::tempdir().unwrap();
    sets(dir.path());
    fs::write(dir.path().join(file), text).unwrap();
    let reported = pause_names(&dir.path().join("kind/share"))
        .unwrap_err()
        .to_string();
    assert!(reported.contains(answer), "{reported}");
}

#[test]
fn a_kubeadm_that_names_too_few_images_is_told() {
    let dir = tempfile::tempdir().unwrap();
    sets(dir.path());
    let kind = dir.path().join("kind");
    let parts = KubernetesImageInputs {
        control_plane: dir.path(),
        kind: &kind,
        userland: dir.path(),
    };
    let listed = LISTED.replace("kube-scheduler", "scheduler");
    let reported = names(parts, Path::new("kubeadm"), &listed)
        .unwrap_err()
        .to_string();
    assert!(
        reported.contains("it lists no image kube-scheduler"),
        "{reported}"
    );
}

#[test]
fn what_a_program_prints_or_why_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (echo, no) = (dir.path().join("echo"), dir.path().join("false"));
    symlink("/bin/echo", &echo).unwrap();
    symlink("/bin/false", &no).unwrap();
    assert_eq!(output(&echo, ["a", "b"]).unwrap(), "a b\n");
    for program in [no, dir.path().join("missing")] {
        let reported = output(&program, ["a"]).unwrap_err().to_string();
        assert!(
            reported.contains("failed") && reported.contains("prepare --kind"),
            "{reported}"
        );
    }
}

#[rstest]
#[case("const kindnetdImage = \"a/b:c\"", Some("a/b:c"))]
#[case("const kindnetdImage = `a`", None)]
#[case("  const kindnetdImage = \"a\"", None)]
#[case("const defaultCNIManifest = \"a\"", None)]
#[case("// const xImage = \"a\"", None)]
fn the_images_of_kinds_sources_are_constants(#[case] line: &str, #[case] image: Option<&str>) {
    assert_eq!(constant(line).as_deref(), image);
}
