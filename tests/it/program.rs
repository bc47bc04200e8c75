//! The program under test, as the tests of its command line start it.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use assert_cmd::Command;

/// The binary, without settings from the environment of the test run.
pub fn meshproof(args: &[&str]) -> Command {
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

pub fn output(args: &[&str]) -> Output {
    meshproof(args).output().expect("it starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/golden")
        .join(format!("{name}.jsonl"))
}

/// A report directory that contains only the event log of a golden run.
pub fn report_dir(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::copy(golden(name), dir.path().join("events.jsonl")).expect("copied");
    dir
}

pub const SCENARIO: &str = "
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
pub fn suites() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(dir.path().join("suites/routing")).expect("made");
    std::fs::write(dir.path().join("suites/routing/unary.yaml"), SCENARIO).expect("written");
    dir
}

pub fn output_in(dir: &Path, args: &[&str]) -> Output {
    meshproof(args)
        .current_dir(dir)
        .output()
        .expect("it starts")
}
