//! From files to plans, explanations and the schema.

use std::{collections::BTreeSet, path::Path};

use meshproof::{
    plan::{PlanAction, PlanOptions, explain::explain, plan, resolve::resolve_probe, step_probes},
    scenario::{
        Suites, Tree,
        list::{by_requirement, by_requirement_text, list},
        load_all,
        loaded::LoadedScenario,
        model::{Contrast, Step},
        parse::parse,
        schema,
    },
    verdict::Rates,
};

const TABLE: &str = r#"title: A listed status is retried, an unlisted one is not
why: The attempts are invisible to the client.
source: [Envoy x-envoy-retry-grpc-on]
needs: [gateway]
workloads:
- {name: caller, template: caller}
- {name: v1, template: greeter, app: greeter, replicas: 2}
- {name: v2, template: greeter, app: greeter}
probes:
  table:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:8080
    deadline: 1.5s
    metadata: {x-a: 1, x-b: 2}
    script: {status: UNAVAILABLE}
    expect: {status: UNAVAILABLE, attempts: 3}
    cases:
    - name: listed
    - name: unlisted
      with: {script: {status: 13}, metadata: {x-b: 3}}
      expect: {status: INTERNAL, attempts: 1}
  split:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:8080
    expect: {status: OK, share: {v1: 50%, v2: 50%}}
  all:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:8080
    expect: {status: OK, reaches-all: greeter}
steps:
- probe: table
- probe: split
- probe: all
- scale: {workload: v2, replicas: 3}
- contrast:
    probe: table
    cases: [listed]
    with: {metadata: {x-c: 9}, times: 4}
    must-fail: [attempts]
"#;

fn loaded() -> LoadedScenario {
    let tree = Tree::Disk("suites".into());
    parse(&tree, "retries/table.yaml", TABLE.to_owned()).unwrap()
}

#[test]
fn runs_of_one_scenario_have_numbers_in_the_order_in_which_they_start() {
    let terms = PlanOptions {
        rates: Rates::default(),
        seed: meshproof::seed::Seed::new(1),
        jobs: 1,
        alike: true,
    };
    let numbers = |scenarios| {
        let entries = plan(scenarios, terms, None).entries;
        let numbers = entries.iter().map(|entry| entry.loaded.attempt);
        numbers.collect::<Vec<u32>>()
    };
    assert_eq!(numbers(vec![loaded(), loaded(), loaded()]), [1, 2, 3]);
    assert_eq!(numbers(vec![loaded()]), [0]);
}

#[test]
fn cells_are_laid_over_the_probe_field_by_field() {
    let scenario = loaded().scenario;
    let runs = resolve_probe(&scenario, "table", Rates::default()).unwrap();
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["table[listed]", "table[unlisted]"]);
    let scripts: Vec<Option<u32>> = runs
        .iter()
        .map(|run| run.request.script.clone().unwrap().status)
        .collect();
    assert_eq!(scripts, [Some(14), Some(13)]);
    let metadata: Vec<(&str, String)> = runs[1]
        .request
        .metadata
        .iter()
        .map(|(k, v)| (k.as_str(), v.to_string()))
        .collect();
    let expected = [("x-a", "1".to_owned()), ("x-b", "3".to_owned())];
    assert_eq!(metadata, expected);
    assert_eq!(runs[0].request.deadline.unwrap().as_millis(), 1500);
    assert_eq!(
        (runs[0].load.times, runs[0].load.needed),
        (1, None),
        "exact: one call"
    );
    assert_eq!(runs[1].expect.status(), Some(13));
}

#[test]
fn a_contrast_takes_its_cells_and_breaks_what_it_says() {
    let scenario = loaded().scenario;
    let contrast = scenario.steps.iter().find_map(|step| match step {
        Step::Contrast(contrast) => Some(contrast.clone()),
        _ => None,
    });
    let mut contrast = contrast.unwrap();
    let runs =
        |contrast: Contrast| step_probes(&scenario, &Step::Contrast(contrast), Rates::default());
    let broken = runs(contrast.clone()).unwrap();
    assert_eq!(broken.len(), 1);
    assert_eq!(
        (broken[0].load.times, broken[0].request.metadata.len()),
        (4, 3)
    );
    contrast.cases = vec!["other".to_owned()];
    assert!(runs(contrast).is_err());
}

#[test]
fn defaults_come_from_the_matcher_and_the_largest_world() {
    let scenario = loaded().scenario;
    let all = &resolve_probe(&scenario, "all", Rates::default()).unwrap()[0];
    // Two pods of v1 and, after the scale step, three of v2: five to reach.
    assert_eq!(all.load.needed, Some(70));
    // Its status is an exact claim, which needs 132 calls; the rest is a reserve.
    assert_eq!(all.load.times, 132 + 70 / 10 + 8);
    let split = &resolve_probe(&scenario, "split", Rates::default()).unwrap()[0];
    assert!(
        (2000..3500).contains(&split.load.times),
        "{}",
        split.load.times
    );
}

#[test]
fn a_missing_capability_is_the_reason_of_a_skip() {
    let terms = PlanOptions {
        rates: Rates::default(),
        seed: meshproof::seed::Seed::new(1),
        jobs: 2,
        alike: true,
    };
    let offered = BTreeSet::from(["sidecar".to_owned()]);
    let planned = plan(vec![loaded()], terms, Some(&offered));
    let skip = PlanAction::Skip("missing capabilities: gateway".to_owned());
    assert_eq!(planned.entries[0].action, skip);
    let planned = plan(vec![loaded()], terms, None);
    assert_eq!(planned.entries[0].action, PlanAction::Run);
    let text = planned.to_text().unwrap();
    assert!(
        text.contains("table[unlisted]: 1 × mypackage.Greeter/SayHello"),
        "{text}"
    );
    let json = planned.to_json().unwrap();
    assert_eq!(
        json["scenarios"][0]["steps"][0]["runs"][1]["probe"],
        "table[unlisted]"
    );
}

#[test]
fn an_explanation_says_claim_steps_tests_and_rates() {
    let text = explain(&loaded(), Rates::default()).unwrap();
    for message in [
        "A listed status is retried",
        "The attempts are invisible",
        "Envoy x-envoy-retry-grpc-on",
        "must refute attempts",
        "exact, from the servers' ledger",
        "cap 70 calls, alpha 1e-6, beta 1e-6",
    ] {
        assert!(text.contains(message), "'{message}' is missing in:\n{text}");
    }
}

#[test]
fn the_checked_in_schema_is_current() {
    crate::kept::file("docs/scenario.schema.json", &schema::scenario_text());
}

#[test]
fn the_page_of_requirements_lists_every_scenario() {
    const PAGE: &str = "docs/requirements.md";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let set = load_all(&Suites::open(root), &[]).unwrap();
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
    let (head, rest) = page.split_once("```\n").expect("the start of the table");
    let (_, end) = rest.rsplit_once("```").expect("the end of the table");
    let table = by_requirement_text(&by_requirement(&list(&set.scenarios)));
    crate::kept::file(PAGE, &format!("{head}```\n{table}```{end}"));
}

/// Every file in the repository's own suites is clean.
#[test]
fn the_built_in_suites_have_no_findings() {
    use meshproof::{
        plan::lint::{LintContext, lint_all},
        scenario::{Finding, known::load_known},
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let suites = Suites::open(root);
    let set = load_all(&suites, &[]).unwrap();
    let (known, mut findings) = load_known(&suites.tree);
    let folder = std::fs::read_dir(root.join("fixtures/workloads"));
    let workloads = folder.ok().map(|files| {
        let names = files.flatten().map(|file| file.path());
        names
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect()
    });
    findings.extend(lint_all(
        &set,
        &known,
        &LintContext::new(Rates::default(), workloads),
    ));
    let lines: Vec<String> = findings.iter().map(Finding::plain).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}
