//! Commands that read suites: `list`, `lint`, `explain` and the selection of `run`.

use std::path::Path;

use rstest::rstest;

use crate::program::{SCENARIO, meshproof, output_in, suites, text};

/// Keys and file names come from elsewhere, and CI runners and terminals interpret what is
/// printed of them.
#[test]
fn nothing_from_a_suite_file_steers_runner_or_terminal() {
    let dir = suites();
    let mine = dir.path().join("suites/mine.yaml");
    let text_of = "title: x\n\"a\\n::error::b ##[add-mask]c\\e]52;c;eA==\\a\": 1\n";
    std::fs::write(&mine, text_of).expect("written");
    let evil = dir.path().join("suites/a\u{1b}[2J##[group]x.yaml");
    std::fs::write(&evil, "title: x\n").expect("written");
    for command in [
        &["lint", "suites"][..],
        &["list"],
        &["explain", "suites"],
        &["run", "--dry-run"],
    ] {
        let output = meshproof(command)
            .current_dir(dir.path())
            .env("GITHUB_ACTIONS", "true")
            .output()
            .expect("it starts");
        let reported = text(&output.stdout) + &text(&output.stderr);
        // Our own annotations of findings are workflow commands on purpose.
        let ours = |line: &str| line.starts_with("::error file=suites/");
        let obeyed = |line: &str| {
            (line.trim_start().starts_with("::") && !ours(line)) || line.contains("##[")
        };
        assert!(!reported.lines().any(obeyed), "{reported}");
        assert!(
            !reported.contains(|c: char| c.is_control() && c != '\n' && c != '\t'),
            "{reported:?}"
        );
        assert!(
            reported.contains("## ["),
            "the text must be shown, defused: {reported}"
        );
    }
}

#[test]
fn list_prints_the_documented_fields_and_nothing_else() {
    let output = output_in(suites().path(), &["list", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = serde_json::json!([{
        "id": "routing/unary",
        "title": "A unary call through the sidecar reaches the server",
        "area": "routing",
        "proves": ["B1"],
        "needs": [],
    }]);
    assert_eq!(listed, expected);
    assert!(output.stderr.is_empty());
}

#[test]
fn list_by_requirement_names_the_scenarios_of_each() {
    let output = output_in(suites().path(), &["list", "--by", "requirement"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = text(&output.stdout);
    assert!(
        table.lines().any(|line| line.contains("B1")) && table.contains("routing/unary"),
        "{table}"
    );
}

#[rstest]
#[case::label(&["list", "-l", "area=no-such-area"], "use one of routing")]
#[case::near(&["list", "-l", "area=rooting"], "did you mean 'routing'?")]
#[case::key(&["run", "--dry-run", "-l", "aera=routing"], "did you mean 'area'?")]
#[case::id(&["list", "routing/unarry"], "did you mean 'routing/unary'?")]
#[case::area(&["run", "--dry-run", "routng"], "did you mean 'routing'?")]
#[case::other_area(&["explain", "balancing/unary"], "did you mean 'routing/unary'?")]
#[case::file(&["lint", "suites/routing/unry.yaml"], "did you mean 'routing/unary'?")]
#[case::glob(&["list", "no-such-*"], "`meshproof list` shows the ids")]
fn a_slip_of_a_path_an_id_or_a_label_is_wrong_usage(#[case] args: &[&str], #[case] message: &str) {
    let output = output_in(suites().path(), args);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).trim().is_empty(), "{output:?}");
    assert!(text(&output.stderr).contains(message), "{output:?}");
}

#[rstest]
#[case::label(&["list", "-l", "level=provisional"])]
#[case::requirement(&["list", "--proves", "S1"])]
fn nothing_selected_is_4(#[case] args: &[&str]) {
    let output = output_in(suites().path(), args);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(text(&output.stdout).trim().is_empty(), "{output:?}");
}

#[rstest]
#[case(&["list", "--proves", "X9"])]
#[case(&["run", "--proves", "X9", "--dry-run"])]
fn a_requirement_that_is_none_is_wrong_usage(#[case] args: &[&str]) {
    let output = output_in(suites().path(), args);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let reported = text(&output.stderr);
    assert!(
        reported.contains("unknown requirement 'X9'") && reported.contains("list --by requirement"),
        "{reported}"
    );
}

#[test]
fn a_plan_as_json_ends_its_line() {
    let output = output_in(suites().path(), &["run", "--dry-run", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).ends_with("}\n"), "{output:?}");
}

#[test]
fn a_selector_without_a_value_is_wrong_usage() {
    let output = output_in(suites().path(), &["list", "-l", "area"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("area"), "{output:?}");
}

#[rstest]
#[case(&["list", "suites/mine.yaml"])]
#[case(&["explain", "suites/mine.yaml"])]
#[case(&["lint", "suites/mine.yaml"])]
#[case(&["lint", "suites"])]
fn a_mistake_in_a_suite_file_is_2_with_its_place(#[case] args: &[&str]) {
    let dir = suites();
    std::fs::write(dir.path().join("suites/mine.yaml"), "title: x\nwyh: typo\n").expect("written");
    let output = output_in(dir.path(), args);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    // The findings are the output of `lint`.
    let reported = match args[0] {
        "lint" => text(&output.stdout),
        _ => text(&output.stderr),
    };
    assert!(reported.contains("suites/mine.yaml:2:1: "), "{output:?}");
}

#[test]
fn explain_says_the_claim_on_stdout() {
    let output = output_in(suites().path(), &["explain", "routing/unary"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("A unary call through the sidecar reaches the server"));
    assert!(output.stderr.is_empty());
}

#[test]
fn lint_finds_what_a_reader_alone_does_not() {
    let dir = suites();
    let file = dir.path().join("suites/routing/unary.yaml");
    std::fs::write(&file, SCENARIO.replace("from: caller", "from: nobody")).expect("written");
    let output = output_in(dir.path(), &["lint", "suites/routing/unary.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stderr), "1 scenario, 1 finding\n");
    let reported = text(&output.stdout);
    assert!(
        reported.contains("suites/routing/unary.yaml:") && reported.contains("nobody"),
        "{reported}"
    );
}

#[test]
fn findings_are_data_as_json_and_annotations_in_github_actions() {
    let dir = suites();
    let file = dir.path().join("suites/routing/unary.yaml");
    std::fs::write(&file, SCENARIO.replace("from: caller", "from: nobody")).expect("written");
    let output = meshproof(&["lint", "suites", "-o", "json"])
        .env("GITHUB_ACTIONS", "true")
        .current_dir(dir.path())
        .output()
        .expect("it starts");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found[0]["file"], "suites/routing/unary.yaml");
    assert_eq!(
        (&found[0]["line"], &found[0]["column"]),
        (&12.into(), &11.into())
    );
    assert_eq!(found[0]["severity"], "error");
    let reported = text(&output.stderr);
    let command = "::error file=suites/routing/unary.yaml,line=12,col=11,title=meshproof lint::no workload is named 'nobody'; ";
    assert!(
        reported.lines().any(|line| line.starts_with(command)),
        "{reported}"
    );
    std::fs::write(&file, SCENARIO).expect("written");
    let output = output_in(dir.path(), &["lint", "suites", "-o", "json"]);
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), "[]\n")
    );
}

/// The id does not depend on the name of the folder and how it is given.
#[rstest]
#[case::in_suites("suites/tenant", "tenant/gold")]
#[case::below_suites("x/suites/a/b", "a/b/gold")]
#[case::elsewhere("x/tenant", "tenant/gold")]
fn a_file_has_one_id_however_it_is_named(#[case] folder: &str, #[case] id: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = dir.path().join(folder);
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("gold.yaml"), SCENARIO).expect("written");
    let above = folder.parent().expect("a folder");
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .expect("text");
    let file = folder.join("gold.yaml");
    let absolute = [file.to_str().expect("text"), folder.to_str().expect("text")];
    let relative = format!("{name}/gold.yaml");
    let back = format!("../{name}");
    let ways: [(&Path, &str); 9] = [
        (dir.path(), absolute[0]),
        (dir.path(), absolute[1]),
        (dir.path(), "."),
        (above, name),
        (above, &relative),
        (above, "."),
        (&folder, "."),
        (&folder, "gold.yaml"),
        (&folder, &back),
    ];
    for (here, word) in ways {
        let output = output_in(here, &["list", word]);
        let listed = text(&output.stdout);
        let first = listed.split("  ").next();
        assert_eq!(first, Some(id), "{word} in {}: {output:?}", here.display());
    }
}

#[test]
fn two_files_of_one_id_are_told_apart_from_none() {
    let dir = tempfile::tempdir().expect("a directory");
    for folder in ["a/x", "b/x"] {
        let folder = dir.path().join(folder);
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("one.yaml"), SCENARIO).expect("written");
    }
    let output = output_in(dir.path(), &["lint", "."]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let reported = text(&output.stdout);
    assert!(
        reported.contains("two scenarios have the id 'x/one': the other is a/x/one.yaml"),
        "{reported}"
    );
}

#[test]
fn a_folder_of_manifests_alone_wants_a_scenario() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("vs.yaml"), "apiVersion: v1\nkind: X\n").expect("written");
    for command in ["lint", "list", "explain", "run"] {
        let output = output_in(dir.path(), &[command, "."]);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let reported = text(&output.stderr);
        assert!(
            reported.contains("no scenario found, only 1 file with Kubernetes objects"),
            "{reported}"
        );
    }
    std::fs::write(dir.path().join("mine.yml"), SCENARIO).expect("written");
    let output = output_in(dir.path(), &["lint", "."]);
    assert!(
        text(&output.stdout).contains("mine.yml:1:1: this file is ignored"),
        "{output:?}"
    );
}
