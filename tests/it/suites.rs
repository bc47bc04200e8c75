//! One test for each suite file: it passes lint, it can be planned, and it has a check that can
//! fail. If `MESHPROOF_NAME` names a target that is up (`meshproof target up --name NAME`), each
//! is also run there.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use meshproof::{
    plan::{
        lint::{LintContext, lint_all},
        step_probes,
    },
    scenario::{Suites, load_all},
    verdict::Rates,
};
use rstest::rstest;

#[rstest]
fn suite_file(
    #[files("suites/*/*.yaml")]
    #[exclude(r"/(known|mutations)/")]
    #[exclude(r"/[^/.]+\.[^/]+\.yaml$")]
    file: PathBuf,
) {
    let text = std::fs::read_to_string(&file).expect("readable");
    if text.lines().any(|line| line.starts_with("apiVersion:")) {
        return is_used(&file); // a workload file of this folder; it is tested through the scenarios that use it
    }
    let args = [relative(&file)];
    let set = load_all(&Suites::open(Path::new(".")), &args).expect("it can be read");
    // A missing contrast is a finding too.
    let context = LintContext::new(Rates::default(), Some(workloads()));
    let findings = lint_all(&set, &[], &context);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(
        !set.scenarios.is_empty(),
        "{} holds no scenario",
        file.display()
    );
    // The scenario, and its variant in another dialect, if there is one.
    for loaded in &set.scenarios {
        for step in &loaded.scenario.steps {
            step_probes(&loaded.scenario, step, Rates::default())
                .expect("lint accepts only scenarios that resolve");
        }
        if let Ok(name) = std::env::var("MESHPROOF_NAME") {
            run(&loaded.id, &name);
        }
    }
}

/// Checks that a workload file is used: otherwise nothing would ever read it.
fn is_used(file: &Path) {
    let (folder, name) = (file.parent().expect("a folder"), file.file_stem());
    let name = name.expect("a name").to_string_lossy();
    let uses = [format!("template: {name},"), format!("template: {name}}}")];
    let named = std::fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read_to_string(path).expect("readable"))
        .any(|text| uses.iter().any(|uses| text.contains(uses)));
    assert!(named, "no scenario uses {}", file.display());
}

/// Names of the workload files that all scenarios may use.
fn workloads() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/workloads");
    let files = std::fs::read_dir(folder).expect("readable");
    let names = files.map(|file| file.expect("readable").path());
    names
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .collect()
}

fn relative(file: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    file.strip_prefix(root).unwrap_or(file).to_owned()
}

fn run(id: &str, name: &str) {
    let reports = tempfile::tempdir().expect("a directory");
    let mut command = assert_cmd::Command::cargo_bin("meshproof").expect("built");
    command
        .args(["run", id, "--name", name, "--report-dir"])
        .arg(reports.path());
    command.assert().success();
}
