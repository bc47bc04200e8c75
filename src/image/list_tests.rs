use std::fs;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// Writes a tar archive with one file of this name.
fn archive(dir: &Path, name: &str, contents: &[u8]) -> std::path::PathBuf {
    let path = dir.join("a.tar");
    let mut builder = tar::Builder::new(File::create(&path).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, contents).unwrap();
    builder.into_inner().unwrap();
    path
}

#[rstest]
#[case::ours(json!([{"Config": "ab.json", "RepoTags": ["app:1"], "Layers": ["cd.tar"]}]), &["app:1"], "ab", "cd")]
#[case::of_newer_engines(
    json!([{"Config": "blobs/sha256/ab", "RepoTags": ["app:1"], "Layers": ["blobs/sha256/cd"]}]), &["app:1"], "ab", "cd"
)]
#[case::without_a_name(json!([{"Config": "ab.json", "RepoTags": null, "Layers": ["cd/layer.tar"]}]), &[], "ab", "cd/layer")]
fn images_are_listed(
    #[case] manifest: Value,
    #[case] names: &[&str],
    #[case] id: &str,
    #[case] layer: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), "manifest.json", manifest.to_string().as_bytes());
    let expected = ListedImage {
        names: names.iter().map(|&name| name.to_owned()).collect(),
        id: id.to_owned(),
        layers: vec![layer.to_owned()],
    };
    assert_eq!(list(&path).unwrap(), [expected]);
}

#[rstest]
#[case::no_tar("a.tar", b"no tar at all")]
#[case::another_manifest("manifest.json", b"{}")]
#[case::no_manifest("other.json", b"[]")]
fn anything_else_is_refused(#[case] name: &str, #[case] contents: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), name, contents);
    if name == "a.tar" {
        fs::write(&path, contents).unwrap();
    }
    let answer = list(&path).unwrap_err().to_string();
    assert_eq!(answer, "not an uncompressed archive from `docker save`");
}

#[rstest]
#[case("etc/passwd")]
#[case("./etc/passwd")]
fn a_file_is_found_however_it_was_packed(#[case] name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), name, b"root\n");
    assert_eq!(member("app", &path, "etc/passwd").unwrap(), b"root\n");
    let answer = member("app", &path, "etc/group").unwrap_err().to_string();
    assert!(answer.contains("a.tar has no etc/group"), "{answer}");
    let missing = dir.path().join("missing.tar");
    let answer = member("app", &missing, "etc/group")
        .unwrap_err()
        .to_string();
    assert!(
        answer.contains("image app: cannot read") && answer.contains("missing.tar"),
        "{answer}"
    );
}
