use std::os::unix::{fs::symlink, net::UnixListener};

use rstest::rstest;

use super::*;

/// One line for each path, in order.
fn listed(tree: Vec<TreeEntry>) -> Vec<String> {
    let nodes = flatten("app:1", &tree).expect("a valid tree");
    let line = |(at, node): (PathBuf, Node)| {
        let what = match node {
            Node::Dir { mode } => format!("dir {mode:o}"),
            Node::File { mode, .. } => format!("file {mode:o}"),
            Node::Link { to } => format!("-> {}", to.display()),
        };
        format!("{} {what}", at.display())
    };
    nodes.into_iter().map(line).collect()
}

#[test]
fn parents_are_made_and_come_first() {
    let tree = vec![
        TreeEntry::file("/a/b/c", "x"),
        TreeEntry::dir("/a/b", 0o1777),
        TreeEntry::dir("/", 0o700),
    ];
    assert_eq!(
        listed(tree),
        ["a dir 755", "a/b dir 1777", "a/b/c file 644"]
    );
}

#[rstest]
#[case::relative("usr/lib", "usr/lib/x file 644")]
#[case::absolute("/usr/lib", "usr/lib/x file 644")]
#[case::above_the_root("../../usr/lib", "usr/lib/x file 644")]
#[case::in_place("./usr/lib", "usr/lib/x file 644")]
fn a_path_leads_through_links(#[case] to: &str, #[case] expected: &str) {
    let tree = vec![
        TreeEntry::link("/lib", to),
        TreeEntry::file("/lib/x", "text"),
    ];
    let lines = listed(tree);
    assert!(lines.contains(&expected.to_owned()), "{lines:?}");
    assert!(lines.contains(&format!("lib -> {to}")), "{lines:?}");
}

#[test]
fn links_in_a_circle_are_named() {
    let tree = vec![
        TreeEntry::link("/a", "b"),
        TreeEntry::link("/b", "a"),
        TreeEntry::file("/a/x", ""),
    ];
    let answer = flatten("app:1", &tree).unwrap_err().to_string();
    assert!(
        answer.contains("/a/x") && answer.contains("loop") && answer.contains("app:1"),
        "{answer}"
    );
}

#[test]
fn a_directory_of_the_host_is_copied_and_hides_what_was_there() {
    let host = tempfile::tempdir().unwrap();
    fs::create_dir(host.path().join("sub")).unwrap();
    fs::write(host.path().join("sub/program"), "").unwrap();
    fs::set_permissions(
        host.path().join("sub/program"),
        fs::Permissions::from_mode(0o4755),
    )
    .unwrap();
    fs::set_permissions(host.path().join("sub"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("sub/program", host.path().join("link")).unwrap();
    let tree = vec![
        TreeEntry::file("/opt/old", ""),
        TreeEntry::bind(host.path(), "/opt"),
        TreeEntry::file("/opt/sub/new", ""),
    ];
    assert_eq!(
        listed(tree),
        [
            "opt dir 755",
            "opt/link -> sub/program",
            "opt/sub dir 750",
            "opt/sub/new file 644",
            "opt/sub/program file 4755",
        ]
    );
}

#[rstest]
#[case::file_for_directory(vec![TreeEntry::file("/a", ""), TreeEntry::dir("/a", 0o755)], "a file")]
#[case::directory_for_file(vec![TreeEntry::dir("/a", 0o755), TreeEntry::file("/a", "")], "a directory")]
#[case::below_a_file(vec![TreeEntry::file("/a", ""), TreeEntry::file("/a/b", "")], "a file")]
#[case::link_for_full_directory(vec![TreeEntry::file("/a/b", ""), TreeEntry::link("/a", "c")], "a directory")]
fn what_cannot_be_both_is_refused(#[case] tree: Vec<TreeEntry>, #[case] kind: &str) {
    let answer = flatten("app:1", &tree).unwrap_err().to_string();
    assert!(
        answer.contains("in the way")
            && answer.contains(kind)
            && answer.contains("image app:1: /a "),
        "{answer}"
    );
}

#[test]
fn an_empty_directory_gives_way_to_a_link_and_a_file_to_a_file() {
    let tree = vec![
        TreeEntry::dir("/var/run", 0o755),
        TreeEntry::link("/var/run", "/run"),
        TreeEntry::file("/x", "1"),
        TreeEntry::file("/x", "22"),
    ];
    let nodes = flatten("app:1", &tree).unwrap();
    assert!(matches!(nodes[Path::new("var/run")], Node::Link { .. }));
    let from = Source::Bytes(b"22".to_vec());
    assert_eq!(nodes[Path::new("x")], Node::File { from, mode: 0o644 });
}

#[rstest]
#[case::socket("socket", "socket")]
#[case::whiteout(".wh.name", "removals")]
fn what_no_layer_can_hold_is_named(#[case] name: &str, #[case] word: &str) {
    let host = tempfile::tempdir().unwrap();
    let path = host.path().join(name);
    match word {
        "socket" => drop(UnixListener::bind(&path).unwrap()),
        _ => fs::write(&path, "").unwrap(),
    }
    let error = flatten("app:1", &[TreeEntry::bind(host.path(), "/x")]).unwrap_err();
    let answer = error.to_string();
    assert!(
        answer.contains(&*path.to_string_lossy()) && answer.contains(word),
        "{answer}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let tree = vec![TreeEntry::bind("/does/not/exist", "/x")];
    let answer = flatten("app:1", &tree).unwrap_err().to_string();
    assert!(
        answer.contains("app:1") && answer.contains("/does/not/exist"),
        "{answer}"
    );
}
