//! `meshproof doctor` from a script's point of view, on a machine where nothing is installed.

use assert_cmd::Command;
use rstest::rstest;
use serde_json::Value;

/// The binary in an environment with an empty PATH and no home directory.
fn doctor(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("meshproof").expect("the binary is built");
    command
        .env_clear()
        .env("PATH", "")
        .env("HOME", "/does/not/exist")
        .arg("doctor")
        .args(args);
    command
}

fn checks(report: &Value) -> Vec<(&str, &str, &str)> {
    let list = report["checks"].as_array().expect("a list");
    list.iter()
        .map(|check| {
            let text = |name: &str| check[name].as_str().unwrap_or_default();
            (text("name"), text("state"), text("remedy"))
        })
        .collect()
}

#[rstest]
#[case::local("local", &[("go", "install Go"), ("python3 with pip", "apt-get install python3-pip")])]
#[case::kind("kind", &[("docker", "apt-get install docker.io"), ("kind", "install kind"), ("istioctl", "in PATH")])]
#[case::cluster("cluster", &[("kubeconfig", "set KUBECONFIG")])]
fn with_an_empty_path_everything_is_named_with_its_way_out(
    #[case] target: &str,
    #[case] expected: &[(&str, &str)],
) {
    let output = doctor(&["--target", target, "-o", "json"])
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(
        (&report["target"], &report["ready"]),
        (&target.into(), &false.into())
    );
    let found = checks(&report);
    for (name, way) in expected {
        let missing = |(n, state, w): &&(&str, &str, &str)| {
            n == name && *state == "missing" && w.contains(way)
        };
        assert!(
            found.iter().any(|check| missing(&check)),
            "{name}: {found:?}"
        );
    }
    for (name, state, way) in &found {
        assert_eq!(way.is_empty(), *state == "ok", "{name} without a remedy");
    }
}

#[test]
fn text_goes_to_stdout_and_says_what_to_do() {
    let output = doctor(&["--target", "kind"]).output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.stderr.is_empty(), "{:?}", output.stderr);
    assert!(
        text.contains("MISSING  docker") && text.contains("remedy"),
        "{text}"
    );
    assert!(text.contains("the kind target cannot start here"), "{text}");
}
