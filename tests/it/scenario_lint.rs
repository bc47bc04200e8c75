//! Common mistakes in suite files: each finding has a position and a help text.

use std::{collections::BTreeSet, path::Path};

use meshproof::{
    plan::lint::{LintContext, lint_all},
    scenario::{
        Finding, Suites, Tree,
        finding::{Style, render},
        known::{MeshVersions, find, load_known},
        list::{by_requirement, list},
        load_all,
        select::Filter,
    },
    verdict::Rates,
};
use rstest::rstest;

const GOOD: &str = r#"title: Calls of one connection are spread over every replica
why: One HTTP/2 connection carries many calls.
source: [Istio protocol selection]
proves: [B1]
needs: [sidecar]
workloads:
- {name: caller, template: caller}
- {name: greeter, template: greeter, replicas: 3}
probes:
  spread:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:50051
    send: {name: ada}
    expect:
      status: OK
      reaches-all: greeter
  table:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:50051
    script: {status: UNAVAILABLE, fail_first: 2}
    expect: {status: OK, attempts: 3}
    cases:
    - name: exhausted
      with: {script: {status: 8, fail_first: 2}}
    - name: once
      expect: {attempts: 1..2}
steps:
- apply: istio
- probe: spread
- probe: table
- contrast:
    probe: spread
    with: {metadata: {x-pinned: "1"}}
    must-fail: [reaches-all]
"#;

const ISTIO: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: greeter\n  namespace: ${namespace}\nspec: {}\n";

/// A folder `suites` with one scenario and its configuration.
fn write(root: &Path, scenario: &str, istio: &str) {
    let folder = root.join("suites/balancing");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("per-call.yaml"), scenario).unwrap();
    std::fs::write(folder.join("per-call.istio.yaml"), istio).unwrap();
}

fn findings(scenario: &str, istio: &str) -> Vec<Finding> {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), scenario, istio);
    let suites = Suites::open(root.path());
    let set = load_all(&suites, &[]).unwrap();
    let workloads = ["caller", "greeter"].map(str::to_owned);
    let context = LintContext::new(Rates::default(), Some(BTreeSet::from(workloads)));
    lint_all(&set, &[], &context)
}

#[test]
fn a_good_scenario_has_no_findings() {
    let found = findings(GOOD, ISTIO);
    let lines: Vec<String> = found.iter().map(Finding::plain).collect();
    assert!(found.is_empty(), "{lines:#?}");
}

/// `from` is replaced by `to` in the good file. `words` is part of the finding, `line` is part of
/// the line that the finding must point at.
#[rstest]
#[case::unknown_key("needs:", "neds:", "unknown key 'neds'", "neds:")]
#[case::unknown_verb(
    "- probe: spread",
    "- prob: spread",
    "unknown verb 'prob'",
    "prob: spread"
)]
#[case::unknown_matcher(
    "reaches-all: greeter",
    "reach-all: greeter",
    "did you mean 'reaches-all'",
    "reach-all"
)]
#[case::wrong_type("replicas: 3", "replicas: many", "invalid type", "replicas: many")]
#[case::missing(
    "why: One HTTP/2 connection carries many calls.\n",
    "",
    "'why' is missing",
    "title:"
)]
#[case::question("every replica", "every replica?", "question", "title:")]
#[case::no_title(
    "Calls of one connection are spread over every replica",
    "''",
    "empty",
    "title:"
)]
#[case::no_row("[B1]", "[B99]", "unknown requirement 'B99'", "B99")]
#[case::no_capability("[sidecar]", "[sidecars]", "did you mean 'sidecar'", "sidecars")]
#[case::no_workload_file(
    "template: greeter",
    "template: greter",
    "did you mean 'greeter'",
    "template: greter"
)]
#[case::no_probe("- probe: table", "- probe: tabel", "did you mean 'table'", "tabel")]
#[case::unused_probe("- probe: table\n", "", "'table' is never used", "table:")]
#[case::not_in_world(
    "to: greeter:50051\n    send",
    "to: greeter:50051\n    deadline: 5\n    send",
    "invalid duration",
    "deadline: 5"
)]
#[case::from_nowhere(
    "from: caller\n    to: greeter:50051\n    send",
    "from: calller\n    to: greeter:50051\n    send",
    "did you mean 'caller'",
    "calller"
)]
#[case::from_a_server(
    "from: caller\n    to: greeter:50051\n    send",
    "from: greeter\n    to: greeter:50051\n    send",
    "not a caller",
    "from: greeter"
)]
#[case::no_file("- apply: istio", "- apply: isto", "per-call.isto.yaml", "isto")]
#[case::twice(
    "- probe: table",
    "- apply: istio\n- probe: table",
    "applied twice",
    "apply: istio"
)]
#[case::bad_status(
    "status: OK\n",
    "status: UNAVAILIBLE\n",
    "did you mean 'UNAVAILABLE'",
    "UNAVAILIBLE"
)]
#[case::too_few("send: {name: ada}", "times: 1", "may need 37", "times: 1")]
#[case::bad_range("attempts: 1..2", "attempts: 2..1", "inverted", "2..1")]
#[case::impossible(
    "status: OK\n      reaches-all",
    "status: OK\n      produced-by: outbound-proxy\n      reaches-all",
    "no application produced",
    "produced-by"
)]
#[case::pinned(
    "status: OK\n      reaches-all",
    "status: OK\n      pinned: true\n      reaches-all",
    "exclude each other",
    "reaches-all"
)]
#[case::shares(
    "reaches-all: greeter\n",
    "share: {greeter: 90%, caller: 20%}\n",
    "add up to 110",
    "share"
)]
#[case::no_status(
    "status: OK\n      reaches-all",
    "reaches-all",
    "without 'status'",
    "reaches-all: greeter"
)]
#[case::duplicate_case("name: once", "name: exhausted", "two cases", "name: exhausted")]
#[case::refutes_unknown(
    "must-fail: [reaches-all]",
    "must-fail: [reaches-al]",
    "unknown matcher",
    "reaches-al"
)]
#[case::refutes_other(
    "must-fail: [reaches-all]",
    "must-fail: [took]",
    "does not expect 'took'",
    "took"
)]
#[case::refutes_nothing(
    "must-fail: [reaches-all]",
    "must-fail: []",
    "refutes nothing",
    "contrast:"
)]
#[case::method(
    "mypackage.Greeter/SayHello\n    from: caller\n    to: greeter:50051\n    send",
    "mypackage.Greeter/SayHelo\n    from: caller\n    to: greeter:50051\n    send",
    "have no method",
    "SayHelo"
)]
#[case::script(
    "fail_first: 2}\n    expect",
    "fail_frist: 2}\n    expect",
    "invalid script",
    "script:"
)]
#[case::placeholder(
    "to: greeter:50051\n    send",
    "to: ${user}\n    send",
    "unknown placeholder",
    "${user}"
)]
#[case::a_row_twice(
    "name: once\n",
    "name: once\n      name: twice\n",
    "duplicate key 'name': already used on line 27",
    "name: twice"
)]
#[case::a_probe_twice(
    "  table:\n",
    "  spread:\n",
    "duplicate key 'spread': already used on line 10; remove one of the two",
    "  spread:"
)]
#[case::metadata_twice(
    "send: {name: ada}",
    "metadata: {x: a, y: b, x: c}",
    "duplicate key 'x'",
    "metadata:"
)]
#[case::sent_twice(
    "send: {name: ada}",
    "send: {name: ada, name: eva}",
    "duplicate key 'name'",
    "send:"
)]
#[case::merged(
    "send: {name: ada}",
    "metadata: {<<: {a: b}}",
    "`<<` is supported in manifests only",
    "<<"
)]
#[case::port(
    "to: greeter:50051\n    send",
    "to: greeter:5005\n    send",
    "'greeter' has no port 5005; ports of 'greeter': 50051",
    "greeter:5005"
)]
#[case::no_port(
    "to: greeter:50051\n    send",
    "to: greeter\n    send",
    "ports of 'greeter': 50051",
    "to: greeter"
)]
#[case::no_host(
    "to: greeter:50051\n    send",
    "to: greter:50051\n    send",
    "unknown host 'greter'; did you mean 'greeter'?",
    "greter"
)]
#[case::blank(
    "to: greeter:50051\n    send",
    "to: greeter:50051\n    authority: a b\n    send",
    "authority a b cannot be sent as :authority; write a host",
    "authority: a b"
)]
#[case::field(
    "send: {name: ada}",
    "send: {nam: ada}",
    "mypackage.HelloRequest has the fields name",
    "send:"
)]
#[case::metadata_name(
    "send: {name: ada}",
    "metadata: {'x y': ada}",
    "metadata x y: not a valid metadata name",
    "metadata:"
)]
#[case::a_cells_message(
    "expect: {attempts: 1..2}",
    "with: {send: {nam: x}}\n      expect: {attempts: 1..2}",
    "has the fields name",
    "nam: x"
)]
#[case::no_call("send: {name: ada}", "times: 0", "no calls at all", "times: 0")]
#[case::endless(
    "send: {name: ada}",
    "times: 18446744073709551615",
    "calls are too many; at most 1000000",
    "times:"
)]
#[case::rate("send: {name: ada}", "rate: .nan", "invalid rate NaN", "rate:")]
#[case::negative_gap(
    "send: {name: ada}",
    "stream: {gap: -5s}",
    "invalid duration '-5s'",
    "gap:"
)]
#[case::pods(
    "replicas: 3",
    "replicas: 4294967295",
    "4294967295 replicas are too many; at most 100",
    "replicas:"
)]
#[case::hold(
    "fail_first: 2}\n    expect",
    "hold_ms: 4294967296}\n    expect",
    "4294967296 milliseconds are too many",
    "hold_ms"
)]
#[case::no_name(
    "name: greeter,",
    "name: '',",
    "'' cannot be the name of a workload",
    "name: ''"
)]
#[case::path_as_name(
    "name: greeter,",
    "name: ../../x,",
    "'../../x' cannot be the name",
    "../../x"
)]
#[case::upper_case(
    "name: greeter,",
    "name: Greeter,",
    "'Greeter' cannot be the name",
    "Greeter"
)]
#[case::uses_elsewhere(
    "template: greeter",
    "template: ../../etc/x",
    "is not a valid file name",
    "../../etc/x"
)]
#[case::apply_elsewhere(
    "apply: istio",
    "apply: /etc/passwd",
    "is not a valid file name",
    "/etc/passwd"
)]
#[case::never_offered(
    "needs: [sidecar]",
    "needs: [ambient]",
    "unknown capability 'ambient'",
    "ambient"
)]
fn every_mistake_has_a_place_and_a_way_out(
    #[case] from: &str,
    #[case] to: &str,
    #[case] message: &str,
    #[case] line: &str,
) {
    let broken = GOOD.replacen(from, to, 1);
    assert_ne!(broken, GOOD, "the case must change the file");
    let found = findings(&broken, ISTIO);
    let plain: Vec<String> = found.iter().map(Finding::plain).collect();
    let hit = found
        .iter()
        .find(|finding| finding.plain().contains(message));
    let hit = hit.unwrap_or_else(|| panic!("no finding says '{message}': {plain:#?}"));
    let pointed = broken.lines().nth(hit.line - 1).unwrap_or_default();
    assert!(pointed.contains(line), "points at '{pointed}': {plain:#?}");
    assert!(!hit.help.is_empty());
}

/// Two probes that send the same keys, with a scale between them.
fn keys(from: &str, to: &str) -> Vec<String> {
    let before = "  before:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:50051
    times: 300
    per-call: {x-user: 300}
    expect: {status: OK}
  after:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:50051
    per-call: {x-user: 300}
    expect: {status: OK, remapped: {key: x-user, since: before, at-most: 55%, at-least: 15%}}
steps:
- probe: before
- scale: {workload: greeter, replicas: 4}
- probe: after
";
    let text = GOOD.replace("steps:\n", before);
    assert!(text.contains(from), "the text to replace is missing");
    let found = findings(&text.replacen(from, to, 1), ISTIO);
    found.iter().map(Finding::plain).collect()
}

#[test]
fn keys_of_two_probes_can_be_compared() {
    assert_eq!(keys("since: before", "since: before"), [""; 0]);
}

#[rstest]
#[case::no_value("per-call: {x-user: 300}", "per-call: {x-user: 0}", "no value at all")]
#[case::fixed_too(
    "times: 300",
    "times: 300\n    metadata: {x-user: ada}",
    "in 'metadata' and in 'per-call'"
)]
#[case::sticky(
    "expect: {status: OK}",
    "expect: {status: OK, sticky-by: x-user}",
    "differs from call to call"
)]
#[case::other_key("key: x-user", "key: x-usr", "'x-usr', which is not in 'per-call'")]
#[case::no_such_probe("since: before", "since: befor", "did you mean 'before'")]
#[case::other_number(
    "per-call: {x-user: 300}",
    "per-call: {x-user: 200}",
    "does not send the same 300 values"
)]
#[case::not_before("- probe: before\n", "", "does not run before 'after'")]
#[case::undecidable("at-most: 55%", "at-most: 36%", "no number of keys decides")]
#[case::inverted("at-least: 15%", "at-least: 60%", "inverted")]
#[case::no_status("status: OK, remapped", "remapped", "'remapped' without 'status'")]
fn keys_that_cannot_be_compared_are_refused(
    #[case] from: &str,
    #[case] to: &str,
    #[case] message: &str,
) {
    let found = keys(from, to);
    assert!(
        found.iter().any(|line| line.contains(message)),
        "no '{message}' in {found:#?}"
    );
}

#[test]
fn pods_are_counted_as_the_workloads_file_has_them() {
    let root = tempfile::tempdir().unwrap();
    let scenario = GOOD
        .replace(", replicas: 3", "")
        .replace("send: {name: ada}", "times: 36");
    write(root.path(), &scenario, ISTIO);
    let file =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: greeter}\nspec: {replicas: 3}\n";
    std::fs::write(root.path().join("suites/balancing/greeter.yaml"), file).unwrap();
    let set = load_all(&Suites::open(root.path()), &[]).unwrap();
    let found = lint_all(&set, &[], &LintContext::new(Rates::default(), None));
    let plain: Vec<String> = found.iter().map(Finding::plain).collect();
    assert!(
        plain.iter().any(|line| line.contains("may need 37")),
        "{plain:#?}"
    );
}

#[test]
fn pinning_over_a_single_pod_says_nothing() {
    let single = GOOD.replace(", replicas: 3", "");
    let pinned = single.replace("reaches-all: greeter", "pinned: true");
    let found = findings(&pinned.replace("[reaches-all]", "[pinned]"), ISTIO);
    assert!(
        found.iter().any(|f| f.message.contains("single pod")),
        "{found:?}"
    );
    assert!(
        findings(&single, ISTIO).is_empty(),
        "coverage of one pod is legal"
    );
}

#[test]
fn a_missing_contrast_needs_a_reason() {
    let at = GOOD.find("- contrast:").unwrap();
    let without = &GOOD[..at];
    let found = findings(without, ISTIO);
    assert!(
        found.iter().any(|f| f.message.contains("no contrast")),
        "{found:?}"
    );
    let excused = format!("{without}no-contrast: the claim is about the default\n");
    assert!(findings(&excused, ISTIO).is_empty());
    let both = format!("{GOOD}no-contrast: none\n");
    assert_eq!(findings(&both, ISTIO).len(), 1);
}

#[rstest]
#[case("apiVersion: v1\nkind: [\n", 3, "")]
#[case("apiVersion: v1\nmetadata: {name: a}\n", 1, "no kind")]
#[case(
    "a: 1\n---\napiVersion: v1\nkind: X\nmetadata:\n  nam: a\n",
    5,
    "no metadata.name"
)]
#[case("# nothing\n", 1, "no object")]
#[case(
    "apiVersion: v1\nkind: X\nmetadata: {name: \"${name}\"}\n",
    3,
    "unknown placeholder"
)]
fn configuration_is_read_too(#[case] text: &str, #[case] line: usize, #[case] message: &str) {
    let found = findings(GOOD, text);
    let hit = |f: &&Finding| {
        f.file.ends_with("istio.yaml") && f.line == line && f.message.contains(message)
    };
    let plain: Vec<String> = found.iter().map(Finding::plain).collect();
    assert!(found.iter().any(|f| hit(&f)), "{plain:#?}");
}

#[test]
fn findings_are_drawn_with_and_without_colour() {
    let found = findings(&GOOD.replace("needs:", "neds:"), ISTIO);
    let plain = render(&found, Style::Plain);
    assert!(
        plain.contains("per-call.yaml:5:1: unknown key 'neds'"),
        "{plain}"
    );
    let drawn = render(&found, Style::Monochrome);
    assert!(
        drawn.contains("neds: [sidecar]") && drawn.contains("did you mean 'needs'?"),
        "{drawn}"
    );
    assert!(!drawn.contains('\u{1b}'));
    assert!(render(&found, Style::Colour).contains('\u{1b}'));
}

fn known(list: &str) -> (Vec<String>, bool) {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), GOOD, ISTIO);
    let folder = root.path().join("suites/known");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("istio-1.31.yaml"), list).unwrap();
    let tree = Tree::Disk(root.path().join("suites"));
    let (files, mut findings) = load_known(&tree);
    let set = load_all(&Suites { tree }, &[]).unwrap();
    assert_eq!(set.scenarios.len(), 1, "lists are no scenarios");
    findings.extend(lint_all(&set, &files, &LintContext::default()));
    let running = MeshVersions {
        mesh: "istio",
        version: "1.31.1",
        envoy: "1.36.2",
    };
    let hit = find(&files, "balancing/per-call", running).is_some();
    (findings.iter().map(Finding::plain).collect(), hit)
}

#[rstest]
#[case("- {id: balancing/per-call, reason: r, link: 'https://e/1'}", true, "")]
#[case(
    "- {id: balancing/per-call, reason: r, link: 'https://e/1', envoy: 1.37.*}",
    false,
    ""
)]
#[case(
    "- {id: balancing/per-call, reason: r, link: 'https://e/1', envoy: 1.36.*, cases: [once]}",
    true,
    ""
)]
#[case(
    "- {id: balancing/per-cal, reason: r, link: 'https://e/1'}",
    false,
    "no scenario is named"
)]
#[case(
    "- {id: balancing/per-call, reason: r, link: 'https://e/1', cases: [twice]}",
    true,
    "no case 'twice'"
)]
#[case(
    "- {id: balancing/per-call, reason: '', link: 'https://e/1'}",
    true,
    "reason is empty"
)]
#[case("- {id: balancing/per-call, reason: r}", false, "'link' is missing")]
fn known_failures_name_what_exists(#[case] list: &str, #[case] hits: bool, #[case] message: &str) {
    let (findings, hit) = known(list);
    assert_eq!(hit, hits, "{findings:?}");
    assert_eq!(findings.is_empty(), message.is_empty(), "{findings:?}");
    assert!(
        findings.iter().all(|line| line.contains(message)),
        "{findings:?}"
    );
}

#[test]
fn scenarios_are_found_by_file_folder_id_and_glob() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), GOOD, ISTIO);
    let suites = Suites::open(root.path());
    let file = root.path().join("suites/balancing/per-call.yaml");
    let folder = root.path().join("suites/balancing");
    let args = [
        file.as_path(),
        &folder,
        Path::new("balancing/per-call"),
        Path::new("balancing"),
        Path::new("*/per-*"),
    ];
    for word in args {
        let set = load_all(&suites, &[word.to_owned()]).unwrap();
        let ids: Vec<&str> = set.scenarios.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["balancing/per-call"], "{}", word.display());
    }
    assert!(load_all(&suites, &["balancing/other".into()]).is_err());
}

#[test]
fn labels_rows_and_tables_select() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), GOOD, ISTIO);
    let set = load_all(&Suites::open(root.path()), &[]).unwrap();
    let matches = |selector: &str, rows: &[&str]| {
        let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
        let filter = Filter::new(Some(selector), &rows, None).unwrap();
        filter.matches(&set.scenarios[0])
    };
    assert!(matches("area=balancing,level=core,slow=false", &["b1"]));
    assert!(!matches("area=routing", &[]));
    assert!(!matches("", &["T1"]));
    let rows = by_requirement(&list(&set.scenarios));
    let proved: Vec<&str> = rows
        .iter()
        .filter(|row| !row.scenarios.is_empty())
        .map(|row| row.requirement)
        .collect();
    assert_eq!((rows.len(), proved), (63, vec!["B1"]));
}
