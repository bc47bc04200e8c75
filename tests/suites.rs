//! One test for each suite file: it lints, it plans, and it has a check that can fail. With `MESHPROOF_NAME` set to a target that
//! is up (`meshproof target up --name NAME`), each is also run there.

use std::path::{Path, PathBuf};

use meshproof::{
    plan::step_probes,
    scenario::{Suites, load_all, model::Step},
    verdict::Rates,
};
use rstest::rstest;

#[rstest]
fn suite_file(
    #[files("suites/*/*.yaml")]
    #[exclude(r"/(known|mutations)/")]
    #[exclude(r"/[^/.]+\.[^/.]+\.yaml$")]
    file: PathBuf,
) {
    let words = [relative(&file)];
    let set = load_all(&Suites::open(Path::new(".")), &words).expect("it can be read");
    assert!(set.findings.is_empty(), "{:?}", set.findings);
    let [loaded] = set.scenarios.as_slice() else {
        panic!("{} is not one scenario", file.display());
    };
    let scenario = &loaded.scenario;
    let contrast = scenario
        .steps
        .iter()
        .any(|step| matches!(step, Step::Contrast(_)));
    assert_ne!(
        contrast,
        scenario.no_contrast.is_some(),
        "a contrast or a reason, not both and not none"
    );
    for step in &scenario.steps {
        step_probes(scenario, step, Rates::default()).expect("lint accepts only what resolves");
        if let Step::Apply(name) = step {
            assert!(
                loaded.config(name).expect("readable").is_some(),
                "{name} is there"
            );
        }
    }
    if let Ok(name) = std::env::var("MESHPROOF_NAME") {
        run(&loaded.id, &name);
    }
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
