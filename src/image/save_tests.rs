use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _};

use rstest::rstest;

use super::*;
use crate::image::list;

fn program(dir: &Path, contents: &[u8]) -> PathBuf {
    let path = dir.join("program");
    fs::write(&path, contents).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A tar archive with one file, on disk.
fn tar(dir: &Path) -> PathBuf {
    let path = dir.join("base.tar");
    let mut bytes = Vec::new();
    let tree = [TreeEntry::file("/etc/passwd", "root\n")];
    layer::write("base", &tree, &mut bytes, &path).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// Names and contents of a tar, in its order.
fn members(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let read = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    });
    read.collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Two images on one base; the first has two names.
fn two(dir: &Path) -> [Layered; 2] {
    let base = Rc::new(Layer::of_tar("base", &tar(dir)).unwrap());
    let host = program(dir, &[7; 70_001]);
    let own = |at: &str| {
        let tree = vec![TreeEntry::bind(&host, at)];
        Rc::new(Layer::of_tree(at, tree).unwrap())
    };
    let names = vec![
        "local/one:dev".to_owned(),
        "localhost:5000/one:7".to_owned(),
    ];
    let start = Start {
        entrypoint: vec!["/one".to_owned()],
        env: vec!["A=b".to_owned()],
        user: "1:2".to_owned(),
        stop_signal: Some("SIGRTMIN+3".to_owned()),
    };
    let one = Layered::new(names, vec![base.clone(), own("/one")], &start);
    let names = vec!["local/two:dev".to_owned()];
    let two = Layered::new(names, vec![base, own("/two")], &Start::default());
    [one, two]
}

#[test]
fn names_come_first_and_a_shared_layer_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let (images, to) = (two(dir.path()), dir.path().join("a.tar"));
    save(&images, &to).unwrap();
    let bytes = fs::read(&to).unwrap();
    assert_eq!(bytes.len() as u64, Archive::of(&images).bytes());
    let members = members(&bytes);
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], ["repositories", "manifest.json"]);
    assert_eq!(names.len(), 2 + 2 + 3, "{names:?}");
    for (name, contents) in &members[2..] {
        let (digest, _) = name.split_once('.').unwrap();
        assert_eq!(sha256(contents), digest, "{name}");
    }
    let repositories: Value = serde_json::from_slice(&members[0].1).unwrap();
    let [one, two] = &images;
    assert_eq!(
        repositories,
        json!({"local/one": {"dev": one.id}, "localhost:5000/one": {"7": one.id}, "local/two": {"dev": two.id}})
    );
    let manifest: Value = serde_json::from_slice(&members[1].1).unwrap();
    assert_eq!(manifest[0]["Layers"][0], manifest[1]["Layers"][0]);
    assert_eq!(manifest[0]["Config"], format!("{}.json", one.id));
}

#[test]
fn a_configuration_says_how_a_container_starts() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = two(dir.path());
    let config: Value = serde_json::from_str(&one.config).unwrap();
    assert_eq!(
        config["config"],
        json!({
            "Entrypoint": ["/one"], "Env": [PATH, "A=b"], "User": "1:2", "WorkingDir": "/", "StopSignal": "SIGRTMIN+3"
        })
    );
    let digests: Vec<String> = one
        .layers
        .iter()
        .map(|layer| format!("sha256:{}", layer.sum.digest))
        .collect();
    assert_eq!(
        config["rootfs"],
        json!({"type": "layers", "diff_ids": digests})
    );
    let config: Value = serde_json::from_str(&two.config).unwrap();
    assert_eq!(config["config"], json!({"Env": [PATH], "WorkingDir": "/"}));
}

/// The digests are those of Python's `tarfile`, which wrote these layers before.
#[rstest]
#[case::files(
    vec![
        TreeEntry::file("/etc/passwd", "root:x:0:0\n"),
        TreeEntry::dir("/tmp", 0o1777),
    ],
    "260340035ecc023e3456951bd1a8bca81ca44b07b6dee2dfe2371696bfbbe0a8"
)]
#[case::nothing(
    Vec::new(),
    "84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652"
)]
fn a_layer_is_byte_for_byte_what_other_programs_write(
    #[case] mut tree: Vec<TreeEntry>,
    #[case] digest: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    if !tree.is_empty() {
        let host = program(dir.path(), b"program");
        tree.push(TreeEntry::bind(host, "/usr/local/bin/x-y"));
    }
    assert_eq!(Layer::of_tree("app", tree).unwrap().sum.digest, digest);
}

#[rstest]
#[case::of_a_tar("base.tar", "base")]
#[case::of_a_tree("program", "/one")]
fn a_file_that_changed_meanwhile_is_named_and_nothing_is_left(
    #[case] file: &str,
    #[case] image: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let (images, to) = (two(dir.path()), dir.path().join("a.tar"));
    fs::write(dir.path().join(file), "other").unwrap();
    let answer = save(&images, &to).unwrap_err().to_string();
    assert!(
        answer.contains(&format!("image {image}:")) && answer.contains("changed while it was read"),
        "{answer}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2); // the program and the tar
}

#[test]
fn what_was_saved_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (images, to) = (two(dir.path()), dir.path().join("a.tar"));
    save(&images, &to).unwrap();
    let listed = list(&to).unwrap();
    for (image, listed) in images.iter().zip(&listed) {
        let layers = image.layers.iter().map(|layer| layer.sum.digest.clone());
        assert_eq!((&listed.id, &listed.names), (&image.id, &image.names));
        assert_eq!(listed.layers, Vec::from_iter(layers));
    }
    assert_eq!(listed.len(), 2);
}
