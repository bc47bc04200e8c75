use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rstest::rstest;

use super::*;
use crate::toolchain::TreeEntry;

/// A name longer than the 100 bytes for it in a header.
const LONG: &str = "/data/a-directory-with-a-name-that-goes-on-and-on/and-another-one-inside-it-that-is-no-shorter/a-file-at-last.txt";

fn image(name: &str, host: &Path) -> Image {
    Image {
        name: name.to_owned(),
        entrypoint: vec!["/bin/app".to_owned(), "serve".to_owned()],
        env: vec![("PATH".to_owned(), "/bin".to_owned())],
        user: Some(1337),
        workdir: PathBuf::from("/data"),
        tree: vec![
            TreeEntry::dir("/tmp", 0o1777),
            TreeEntry::link("/sbin", "bin"),
            TreeEntry::link("/deep", LONG),
            TreeEntry::file(LONG, "long"),
            TreeEntry::bind(host, "/bin/app"),
        ],
    }
}

fn program(dir: &Path, contents: &[u8]) -> PathBuf {
    let path = dir.join("program");
    fs::write(&path, contents).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Contents of a tar by name.
fn members(tar: &[u8]) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let read = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, (entry.header().clone(), bytes))
    });
    read.collect()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

#[test]
fn an_archive_reads_back_as_its_image_and_its_digests_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let (host, to) = (program(dir.path(), &[7; 70_001]), dir.path().join("a.tar"));
    let written = write(&image("local/app", &host), &to).unwrap();
    let outer = members(&fs::read(&to).unwrap());
    let manifest: Value = serde_json::from_slice(&outer["manifest.json"].1).unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["local/app:latest"]));
    let config = &outer[manifest[0]["Config"].as_str().unwrap()].1;
    assert_eq!(sha256(config), written.id);
    let layer = &outer[manifest[0]["Layers"][0].as_str().unwrap()].1;
    assert_eq!(
        (sha256(layer), layer.len() as u64),
        (written.layer.clone(), written.bytes)
    );
    let config: Value = serde_json::from_slice(config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([written.layer]));
    assert_eq!(
        config["config"],
        json!({"Entrypoint": ["/bin/app", "serve"], "Env": ["PATH=/bin"], "User": "1337", "WorkingDir": "/data"})
    );
    let files = members(layer);
    let (app, contents) = &files["bin/app"];
    assert_eq!((app.mode().unwrap(), contents.len()), (0o755, 70_001));
    assert_eq!(files[&LONG[1..]].1, b"long");
    assert_eq!(files["tmp/"].0.mode().unwrap(), 0o1777);
    assert_eq!(files["sbin"].0.link_name_bytes().unwrap(), &b"bin"[..]);
    for (name, (header, _)) in files.iter().chain(&outer) {
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        assert_eq!((header.mtime().unwrap(), owner), (0, (0, 0)), "{name}");
    }
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let host = program(dir.path(), b"program");
    let (first, second) = (dir.path().join("1"), dir.path().join("2"));
    let one = write(&image("app:1", &host), &first).unwrap();
    let before = SystemTime::now() - Duration::from_secs(86_400);
    let file = File::options().append(true).open(&host).unwrap();
    file.set_modified(before).unwrap();
    let mut image = image("app:1", &host);
    image.tree.reverse(); // independent entries: their order does not show
    let two = write(&image, &second).unwrap();
    assert_eq!(one, two);
    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
}

#[test]
fn of_several_images_each_is_there_and_what_they_share_once() {
    let dir = tempfile::tempdir().unwrap();
    let (host, to) = (program(dir.path(), b"x"), dir.path().join("a.tar"));
    let mut other = image("app:3", &host);
    other.tree.push(TreeEntry::file("/more", "more"));
    let images = [image("app:1", &host), image("app:2", &host), other];
    let written = write_all(&images, &to).unwrap();
    assert_eq!(written[0].id, written[1].id);
    assert_ne!(written[0].layer, written[2].layer);
    let outer = members(&fs::read(&to).unwrap());
    assert_eq!(outer.len(), 5, "{:?}", outer.keys());
    let manifest: Value = serde_json::from_slice(&outer["manifest.json"].1).unwrap();
    for (place, written) in written.iter().enumerate() {
        assert_eq!(manifest[place]["RepoTags"], json!([written.name]));
        let layer = &outer[manifest[place]["Layers"][0].as_str().unwrap()].1;
        assert_eq!(sha256(layer), written.layer);
    }
}

#[test]
fn nothing_is_left_of_an_archive_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("a.tar");
    let images = [
        image("app:1", &program(dir.path(), b"x")),
        image("app:2", Path::new("/does/not/exist")),
    ];
    let answer = write_all(&images, &to).unwrap_err().to_string();
    assert!(answer.contains("app:2"), "{answer}");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}"); // the program
}

#[test]
fn a_place_that_cannot_be_written_to_is_named() {
    let answer = write_all(&[], Path::new("/does/not/exist/a.tar"))
        .unwrap_err()
        .to_string();
    assert!(answer.contains("/does/not/exist/a.tar:"), "{answer}");
}

#[rstest]
#[case("app", "app:latest")]
#[case("local/app:dev", "local/app:dev")]
#[case("localhost:5000/app", "localhost:5000/app:latest")]
#[case("localhost:5000/app:2@sha256:00", "localhost:5000/app:2")]
fn a_name_has_a_tag(#[case] name: &str, #[case] expected: &str) {
    assert_eq!(tagged(name), expected);
}
