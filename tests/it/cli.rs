//! The command line from a script's point of view: exit codes, output streams, help texts.

use std::process::Output;

use clap::CommandFactory as _;
use meshproof::cli::Cli;
use rstest::rstest;

use crate::program::{meshproof, output, output_in, suites, text};

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
        let parts: Vec<&str> = command.iter().map(String::as_str).collect();
        let output = output(&[&parts, &["--help"][..]].concat());
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert!(output.stderr.is_empty(), "{command:?}");
        let name = match parts.is_empty() {
            true => "help".to_owned(),
            false => parts.join("-"),
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
fn a_flag_that_cannot_be_honoured_is_2(#[case] flags: &[&str], #[case] reported: &str) {
    for dry_run in [&["--dry-run"][..], &[]] {
        let dir = suites();
        let output = output_in(dir.path(), &[&["run"], dry_run, flags].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = text(&output.stderr);
        assert!(
            error.contains(reported) && error.lines().count() == 1,
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
    let reported = text(&output.stderr);
    assert!(
        reported.contains(&format!("{variable}={value}")),
        "{reported}"
    );
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

#[test]
fn wrong_usage_does_not_quote_the_password_of_a_url() {
    let output = output(&["run", "--registry-mirror", "https://me:planted@mirror:5000"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(
        message.contains("https://***@mirror:5000") && !message.contains("planted"),
        "{message}"
    );
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
fn status_without_a_go_that_builds_says_so(#[case] script: Option<&str>, #[case] message: &str) {
    let output = status_with_go(script);
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let answer = text(&output.stderr);
    assert!(
        answer.starts_with("error: ") && answer.contains(message),
        "{answer}"
    );
}
