//! The command line from a script's point of view: exit codes, output streams, help texts.

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use clap::CommandFactory as _;
use meshproof::cli::Cli;
use rstest::rstest;

/// The binary, without settings from the environment of the test run.
fn meshproof(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("meshproof").expect("the binary is built");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MESHPROOF_") {
            command.env_remove(name);
        }
    }
    for name in [
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "CI",
        "GITHUB_ACTIONS",
        "RUST_LOG",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    command.args(args);
    command
}

fn output(args: &[&str]) -> Output {
    meshproof(args).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/golden")
        .join(format!("{name}.jsonl"))
}

/// A report directory that contains only the event log of a golden run.
fn report_dir(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::copy(golden(name), dir.path().join("events.jsonl")).expect("copied");
    dir
}

#[rstest]
#[case::no_command(&[])]
#[case::unknown_command(&["prove"])]
#[case::unknown_flag(&["schema", "--pretty"])]
#[case::missing_argument(&["report"])]
#[case::bad_shard(&["run", "--shard", "3/2"])]
#[case::bad_rate(&["run", "--alpha", "0.9"])]
#[case::no_jobs(&["run", "-j", "0"])]
#[case::bad_color(&["schema", "--color", "sometimes"])]
#[case::contradiction(&["schema", "--quiet", "--verbose"])]
fn wrong_usage_is_2_and_told_on_stderr(#[case] args: &[&str]) {
    let output = output(args);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        output.stdout.is_empty() && text(&output.stderr).contains("--help"),
        "{output:?}"
    );
}

/// Every command in the help, with its parent commands; the program itself is the first.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
        all.push(path.to_owned());
        let shown = command.get_subcommands();
        for next in shown.filter(|next| !next.is_hide_set() && next.get_name() != "help") {
            below(next, &[path, &[next.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    below(&Cli::command(), &[], &mut all);
    assert!(all.len() > 15, "{all:?}");
    all
}

#[test]
fn help_reads_as_reviewed() {
    for command in commands() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let output = output(&[&words, &["--help"][..]].concat());
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert!(output.stderr.is_empty(), "{command:?}");
        let name = match words.is_empty() {
            true => "help".to_owned(),
            false => words.join("-"),
        };
        insta::with_settings!({omit_expression => true, snapshot_path => "snapshots"}, {
            insta::assert_snapshot!(format!("help-{name}"), text(&output.stdout));
        });
    }
}

#[test]
fn version_is_data() {
    let output = output(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        concat!("meshproof ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn the_schema_is_one_json_document_of_a_scenario() {
    let output = output(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(
        schema["required"]
            .as_array()
            .is_some_and(|fields| fields.contains(&"title".into()))
    );
    assert!(output.stderr.is_empty());
}

#[rstest]
#[case("bash", "_meshproof")]
#[case("zsh", "#compdef meshproof")]
#[case("fish", "complete -c meshproof")]
fn completions_are_scripts_that_name_every_command(#[case] shell: &str, #[case] mark: &str) {
    let output = output(&["completions", shell]);
    assert_eq!(output.status.code(), Some(0));
    let script = text(&output.stdout);
    assert!(script.contains(mark));
    for command in commands() {
        let name = command.last().map_or("meshproof", String::as_str);
        assert!(script.contains(name), "{name} is missing");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("completions");
    std::fs::write(&file, script).expect("written");
    // Each of these shells can parse a script without running it.
    let mut reader = std::process::Command::new(shell);
    match reader.arg("-n").arg(&file).output() {
        Ok(read) => assert!(read.status.success(), "{read:?}"),
        Err(error) => eprintln!("SKIPPED: {shell} cannot parse its script: {error}"),
    }
}

#[test]
fn the_manual_covers_every_command() {
    let page = text(&output(&["man"]).stdout);
    for command in commands().iter().filter(|command| command.len() == 1) {
        let name = command[0].replace('-', "\\-");
        assert!(
            page.contains(&format!("meshproof\\-{name}")),
            "{name} is missing"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("meshproof"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "")
    );
}

#[test]
fn report_writes_every_file_and_leaves_stdout_alone() {
    let dir = report_dir("six-verdicts");
    let output = meshproof(&["report"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty());
    assert!(
        text(&output.stderr).contains("1 passed, 1 failed"),
        "{output:?}"
    );
    for file in [
        "report.json",
        "junit.xml",
        "report.html",
        "summary.md",
        "conformance.yaml",
    ] {
        assert!(
            dir.path()
                .join(file)
                .metadata()
                .is_ok_and(|meta| meta.len() > 0),
            "{file}"
        );
    }
}

#[test]
fn report_writes_one_format_to_stdout() {
    let dir = report_dir("six-verdicts");
    let output = meshproof(&["report", "--json", "-"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["schema"], 1);
    let summary = serde_json::json!({
        "pass": 1, "fail": 1, "error": 1, "skip": 1, "known": 1, "unexpected": 1,
        "error_classes": {}, "wall_ms": 35704
    });
    assert_eq!(report["summary"], summary);
    assert!(
        !dir.path().join("junit.xml").exists(),
        "only the requested output"
    );
}

#[test]
fn a_torn_log_renders_and_says_so() {
    let dir = report_dir("torn");
    let output = meshproof(&["report"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("incomplete"), "{output:?}");
}

/// A wrong argument is a usage error, not a failure.
#[rstest]
#[case("nope")]
#[case("")]
fn a_report_directory_that_is_none_is_2(#[case] below: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let output = meshproof(&["report"])
        .arg(dir.path().join(below))
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("--report-dir"), "{output:?}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
}

#[rstest]
#[case::no_beginning(Some("{\"at_ms\":1,\"event\":\"note\",\"text\":\"x\"}\n"))]
#[case::newer(Some("{\"at_ms\":0,\"event\":\"run-started\",\"schema\":99}\n"))]
fn a_log_that_cannot_be_read_is_3_and_named(#[case] log: Option<&str>) {
    let dir = tempfile::tempdir().expect("a directory");
    if let Some(log) = log {
        std::fs::write(dir.path().join("events.jsonl"), log).expect("written");
    }
    let output = meshproof(&["report"])
        .arg(dir.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(3));
    let told = text(&output.stderr);
    assert!(
        told.starts_with("error: ") && told.contains("events.jsonl"),
        "{told}"
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).expect("listed").count(),
        usize::from(log.is_some()),
        "no report may be written"
    );
}

const SCENARIO: &str = "
title: A unary call through the sidecar reaches the server
why: Everything else rests on it.
source: [gRPC over HTTP2]
proves: [B1]
workloads:
  - {name: caller, template: caller}
  - {name: greeter, template: greeter}
probes:
  hello:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:50051
    send: {name: ada}
    expect: {status: OK}
steps:
  - probe: hello
no-contrast: The call has no configuration to leave out.
";

/// A working directory with one scenario under `suites/`.
fn suites() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(dir.path().join("suites/routing")).expect("made");
    std::fs::write(dir.path().join("suites/routing/unary.yaml"), SCENARIO).expect("written");
    dir
}

fn output_in(dir: &Path, args: &[&str]) -> Output {
    meshproof(args)
        .current_dir(dir)
        .output()
        .expect("it starts")
}

/// A plan and a run check the flags in the same way, before anything starts.
#[rstest]
#[case(&["--istio", "1.28.0"], "--istio 1.28.0 can't be honoured by --target local")]
#[case(&["--nodes", "multi"], "it is for --target kind")]
#[case(&["--target", "kind", "--envoy", "1.39.3"], "it is for --target local")]
#[case(&["--envoy", "1.2"], "--envoy 1.2: ")]
#[case(&["--image", "foo"], "--image foo: ")]
#[case(&["--image", "foo=/nope"], "--image foo=/nope: ")]
#[case(&["--name", "nobody-made-this"], "no local target called nobody-made-this is up")]
#[case(&["--target", "kind", "--name", "Upper"], "Upper")]
#[case(&["--target", "kind", "--nodes", "many"], "many")]
#[case(&["--mutate", "none-such"], "none-such")]
fn a_flag_that_cannot_be_honoured_is_2(#[case] flags: &[&str], #[case] told: &str) {
    for dry_run in [&["--dry-run"][..], &[]] {
        let dir = suites();
        let output = output_in(dir.path(), &[&["run"], dry_run, flags].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = text(&output.stderr);
        assert!(
            error.contains(told) && error.lines().count() == 1,
            "{error}"
        );
        assert!(output.stdout.is_empty(), "{output:?}");
        let made: Vec<_> = std::fs::read_dir(dir.path()).expect("listed").collect();
        assert_eq!(made.len(), 1, "only suites/ may exist: {made:?}");
    }
}

#[rstest]
#[case(&["run", "--dry-run"], "MESHPROOF_ISTIO", "1.28.0")]
#[case(&["target", "up"], "MESHPROOF_PROFILE", "full")]
#[case(&["doctor"], "MESHPROOF_ISTIO", "1.28.0")]
#[case(&["run", "--dry-run"], "MESHPROOF_ENVOY", "1.2")]
fn a_variable_that_cannot_be_honoured_is_2_and_named(
    #[case] command: &[&str],
    #[case] variable: &str,
    #[case] value: &str,
) {
    let output = meshproof(command)
        .current_dir(suites().path())
        .env(variable, value)
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.contains(&format!("{variable}={value}")), "{told}");
}

#[test]
fn arguments_that_are_no_text_are_taken() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = suites();
    let output = meshproof(&["run", "--name", "nobody-made-this", "--report-dir"])
        .arg(std::ffi::OsStr::from_bytes(b"out/\xff"))
        .current_dir(dir.path())
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

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
        let told = text(&output.stdout) + &text(&output.stderr);
        // Our own annotations of findings are workflow commands on purpose.
        let ours = |line: &str| line.starts_with("::error file=suites/");
        let obeyed = |line: &str| {
            (line.trim_start().starts_with("::") && !ours(line)) || line.contains("##[")
        };
        assert!(!told.lines().any(obeyed), "{told}");
        assert!(
            !told.contains(|c: char| c.is_control() && c != '\n' && c != '\t'),
            "{told:?}"
        );
        assert!(
            told.contains("## ["),
            "the text must be shown, defused: {told}"
        );
    }
}

/// The log contains what a server said, and its report is shown in a step of a workflow.
#[test]
fn a_report_on_stdout_says_the_same_and_steers_nobody() {
    let dir = report_dir("evil-text");
    let output = meshproof(&["report", "--json", "-"])
        .arg(dir.path())
        .env("GITHUB_ACTIONS", "true")
        .output()
        .expect("it starts");
    let page = text(&output.stdout);
    assert!(
        !page.contains("##[") && page.contains("##\\u005b"),
        "{page}"
    );
    let read: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    assert!(read.to_string().contains("##[add-mask]"), "{read}");
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
fn a_slip_of_a_path_an_id_or_a_label_is_wrong_usage(#[case] args: &[&str], #[case] words: &str) {
    let output = output_in(suites().path(), args);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).trim().is_empty(), "{output:?}");
    assert!(text(&output.stderr).contains(words), "{output:?}");
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
    let told = text(&output.stderr);
    assert!(
        told.contains("unknown requirement 'X9'") && told.contains("list --by requirement"),
        "{told}"
    );
}

#[test]
fn a_plan_as_json_ends_its_line() {
    let output = output_in(suites().path(), &["run", "--dry-run", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).ends_with("}\n"), "{output:?}");
}

#[test]
fn wrong_usage_does_not_quote_the_password_of_a_url() {
    let output = output(&["run", "--registry-mirror", "https://me:planted@mirror:5000"]);
    assert_eq!(output.status.code(), Some(2));
    let words = text(&output.stderr);
    assert!(
        words.contains("https://***@mirror:5000") && !words.contains("planted"),
        "{words}"
    );
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
    let told = match args[0] {
        "lint" => text(&output.stdout),
        _ => text(&output.stderr),
    };
    assert!(told.contains("suites/mine.yaml:2:1: "), "{output:?}");
}

#[test]
fn explain_says_the_claim_on_stdout() {
    let output = output_in(suites().path(), &["explain", "routing/unary"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("A unary call through the sidecar reaches the server"));
    assert!(output.stderr.is_empty());
}

/// The output of `toolchain status` for an empty cache, where `go` is this script.
fn status_with_go(script: Option<&str>) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let (cache, path) = (dir.path().join("cache"), dir.path().join("bin"));
    std::fs::create_dir(&path).expect("a directory");
    if let Some(script) = script {
        use std::os::unix::fs::PermissionsExt as _;
        let go = path.join("go");
        std::fs::write(&go, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&go, std::fs::Permissions::from_mode(0o755)).expect("set");
    }
    let mut command = meshproof(&["toolchain", "status", "-o", "json"]);
    command.env("XDG_CACHE_HOME", cache).env("PATH", path);
    command.output().expect("it starts")
}

#[test]
fn an_empty_cache_is_told_as_such() {
    let output = status_with_go(Some("echo go1.99.0 linux amd64"));
    assert_eq!(output.status.code(), Some(3));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let sets = status["sets"].as_array().expect("sets").iter();
    let states: Vec<_> = sets
        .map(|set| (set["name"].as_str(), set["state"].as_str()))
        .collect();
    let missing = ["control plane", "interop", "envoy"];
    assert_eq!(states, missing.map(|name| (Some(name), Some("missing"))));
}

/// Go's version is part of the identity of a set.
#[rstest]
#[case::no_go(None, "Go")]
#[case::old_go(Some("echo go1.2.3 linux amd64"), "go1.2.3")]
fn status_without_a_go_that_builds_says_so(#[case] script: Option<&str>, #[case] words: &str) {
    let output = status_with_go(script);
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let said = text(&output.stderr);
    assert!(
        said.starts_with("error: ") && said.contains(words),
        "{said}"
    );
}

#[test]
fn lint_finds_what_a_reader_alone_does_not() {
    let dir = suites();
    let file = dir.path().join("suites/routing/unary.yaml");
    std::fs::write(&file, SCENARIO.replace("from: caller", "from: nobody")).expect("written");
    let output = output_in(dir.path(), &["lint", "suites/routing/unary.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stderr), "1 scenario, 1 finding\n");
    let told = text(&output.stdout);
    assert!(
        told.contains("suites/routing/unary.yaml:") && told.contains("nobody"),
        "{told}"
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
    let told = text(&output.stderr);
    let command = "::error file=suites/routing/unary.yaml,line=12,col=11,title=meshproof lint::no workload is named 'nobody'; ";
    assert!(told.lines().any(|line| line.starts_with(command)), "{told}");
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
    let told = text(&output.stdout);
    assert!(
        told.contains("two scenarios have the id 'x/one': the other is a/x/one.yaml"),
        "{told}"
    );
}

#[test]
fn a_folder_of_manifests_alone_wants_a_scenario() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("vs.yaml"), "apiVersion: v1\nkind: X\n").expect("written");
    for command in ["lint", "list", "explain", "run"] {
        let output = output_in(dir.path(), &[command, "."]);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let told = text(&output.stderr);
        assert!(
            told.contains("no scenario found, only 1 file with Kubernetes objects"),
            "{told}"
        );
    }
    std::fs::write(dir.path().join("mine.yml"), SCENARIO).expect("written");
    let output = output_in(dir.path(), &["lint", "."]);
    assert!(
        text(&output.stdout).contains("mine.yml:1:1: this file is ignored"),
        "{output:?}"
    );
}
