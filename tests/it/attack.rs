//! Bad input of every kind, within limits of memory and time: nothing panics, aborts or hangs,
//! every message has a position and a help text, no file content controls a terminal, and one bad
//! file does not prevent others from being checked.

use std::{
    fmt::Write as _,
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use rstest::rstest;

/// Address space of the process, in KiB. A debug build of the static binary needs some 100 MiB.
const MEMORY: u64 = 700_000;
/// CPU seconds for one bad file, with a debug build.
const ONE: u64 = 5;
/// CPU seconds for all bad files in one process.
const ALL: u64 = 60;
/// Factor on the CPU time after which, on a busy machine, the process counts as hanging.
const PATIENCE: u64 = 20;

const GOOD: &str = r#"title: Calls of one connection reach every replica
why: One connection carries many calls.
source: [Istio protocol selection]
proves: [B1]
level: core
needs: [sidecar]
labels: {group: a}
serial: false
workloads:
- {name: caller, template: caller}
- {name: greeter, template: greeter, replicas: 3, version: v1, app: greeter, args: [--x], annotations: {a: b}}
probes:
  spread:
    call: mypackage.Greeter/SayHello
    from: caller
    to: greeter:50051
    authority: a.example.test
    send: {name: ada}
    metadata: {x-user: ada}
    script: {delay_ms: 1, status: OK, messages: 1, size: 1}
    pad: 1
    deadline: 5s
    times: 100
    connections: 1
    streams: 1
    rate: 10
    expect:
      status: OK
      reaches-all: greeter
      took: 1ms..2s
      attempts: 1..3
      response: {x-a: b}
    cases:
    - name: one
      with: {times: 200, metadata: {a: b}}
      expect: {status: OK}
steps:
- apply: istio
- converge: {probe: spread, within: 5s}
- scale: {workload: greeter, replicas: 4}
- probe: spread
- contrast:
    probe: spread
    cases: [one]
    with: {metadata: {x-user: eva}}
    must-fail: [status]
"#;

/// Values that may appear anywhere, as YAML.
fn values() -> Vec<String> {
    let mut all: Vec<String> = [
        "''",
        "~",
        "[]",
        "{}",
        "[[]]",
        "{a: {b: c}}",
        "0",
        "-1",
        "1e400",
        ".nan",
        ".inf",
        "-.inf",
        "true",
        "4294967295",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "0x7fffffff",
        "9999999h",
        "-5s",
        "1e99s",
        "5 s",
        "..",
        "9..1",
        "1..18446744073709551615",
        "100%",
        "0%",
        "1/0",
        "../../x",
        "/etc/passwd",
        "/",
        ".",
        "UPPER",
        "a b",
        "a.b.c:99999",
        "host:-1",
        "[::1]:80",
        "münchen",
        "\"\\e]0;owned\\a\"",
        "\"\\e[2J\\x9b1m\"",
        "\"a\\n::error file=x::y\"",
        "\"##[stop-commands]x\"",
        "\"\\u202egnp.exe\"",
        "\"\\0\"",
        "\"\\r\\r\"",
        "\"${x}\"",
        "\"${\"",
        "\"{{ .Values.x }}\"",
        "\"%s%n%p\"",
        "!!binary aGk=",
        "!x y",
        "*nothing",
        "&a [*a]",
        "? x",
        "|\n      x",
        "'*'",
        "<<",
        "{<<: {a: b}}",
    ]
    .map(str::to_owned)
    .into();
    all.push("x".repeat(20_000));
    all.push("ü".repeat(5_000));
    all.push(format!("{}x{}", "[".repeat(60), "]".repeat(60)));
    all
}

/// The text to replace in the good file, and the text before the new value.
const FIELDS: [(&str, &str); 34] = [
    (
        "title: Calls of one connection reach every replica",
        "title: ",
    ),
    ("proves: [B1]", "proves: "),
    ("proves: [B1]", "proves: [B1, "),
    ("level: core", "level: "),
    ("needs: [sidecar]", "needs: "),
    ("labels: {group: a}", "labels: "),
    ("serial: false", "serial: "),
    ("- {name: caller, template: caller}", "- "),
    ("name: greeter,", "name: "),
    ("template: greeter,", "template: "),
    ("replicas: 3,", "replicas: "),
    ("version: v1,", "version: "),
    ("app: greeter,", "app: "),
    ("    call: mypackage.Greeter/SayHello", "    call: "),
    ("    from: caller", "    from: "),
    ("    to: greeter:50051", "    to: "),
    ("    authority: a.example.test", "    authority: "),
    ("    send: {name: ada}", "    send: "),
    ("    metadata: {x-user: ada}", "    metadata: "),
    ("    metadata: {x-user: ada}", "    metadata: {k: "),
    (
        "    script: {delay_ms: 1, status: OK, messages: 1, size: 1}",
        "    script: ",
    ),
    (
        "    script: {delay_ms: 1, status: OK, messages: 1, size: 1}",
        "    script: {hold_ms: ",
    ),
    ("    pad: 1", "    pad: "),
    ("    deadline: 5s", "    deadline: "),
    ("    times: 100", "    times: "),
    ("    connections: 1", "    connections: "),
    ("    rate: 10", "    rate: "),
    ("      reaches-all: greeter", "      "),
    ("      took: 1ms..2s", "      took: "),
    ("    - name: one", "    - name: "),
    ("- apply: istio", "- apply: "),
    ("- apply: istio", "- "),
    ("within: 5s}", "within: "),
    ("replicas: 4}", "replicas: "),
];

/// The good scenario with one value replaced; brackets around it stay closed.
fn broken(at: &str, before: &str, value: &str) -> String {
    let open = before.matches(['{', '[']).count() - before.matches(['}', ']']).count();
    let mut end = match before.contains('[') {
        true => "]".repeat(open),
        false => "}".repeat(open),
    };
    if at.ends_with(',') {
        end.push(',');
    } else if at.ends_with('}') && !at.contains('{') {
        end.push('}');
    }
    GOOD.replacen(at, &format!("{before}{value}{end}"), 1)
}

const OBJECT: &str =
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: greeter}\n";

/// A folder `suites/area` with a good scenario.
fn folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let area = root.path().join("suites/area");
    std::fs::create_dir_all(&area).expect("made");
    std::fs::write(area.join("good.yaml"), GOOD).expect("written");
    std::fs::write(area.join("good.istio.yaml"), OBJECT).expect("written");
    root
}

/// Runs the program with little memory and time; if it needs more, it is killed and the test fails.
fn meshproof(here: &Path, args: &[&str], limit: u64) -> Output {
    let script = format!("ulimit -v {MEMORY} && ulimit -t {limit} && exec \"$0\" \"$@\"");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_meshproof")])
        .args(args)
        .env_remove("GITHUB_ACTIONS")
        .current_dir(here)
        .stdin(Stdio::null());
    let mut command = assert_cmd::Command::from_std(command);
    let wall = Duration::from_secs(limit * PATIENCE);
    let output = command.timeout(wall).output();
    output.unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// Asserts that it exited by itself with a known code, and that its output controls no terminal.
fn ended_well(args: &[&str], output: &Output) -> (String, String) {
    let show = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
    let reported = format!(
        "{args:?}: {}\n{}",
        show(&output.stdout),
        show(&output.stderr)
    );
    assert_eq!(output.status.signal(), None, "{reported}");
    assert!(
        matches!(output.status.code(), Some(0 | 2 | 4)),
        "{:?} {reported}",
        output.status
    );
    for stream in [&output.stdout, &output.stderr] {
        let text = std::str::from_utf8(stream).expect("the output is UTF-8");
        let steers = |c: char| {
            (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c)
        };
        assert!(!text.contains(steers), "{reported}");
        assert!(!text.contains("panicked"), "{reported}");
        let long = text.lines().map(str::len).max().unwrap_or(0);
        assert!(
            args[0] != "lint" || long < 10_000 || text.starts_with('['),
            "a line of {long} bytes: {reported}"
        );
    }
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Parses `file:line:column: message; help`.
fn place(line: &str) -> Option<(&str, usize, usize)> {
    let (file, rest) = line.split_once(".yaml:")?;
    let mut numbers = rest.splitn(3, ':');
    let at = numbers.next()?.parse().ok()?;
    let column = numbers.next()?.parse().ok()?;
    numbers.next()?.contains("; ").then_some((file, at, column))
}

/// Lints one folder and asserts that every finding has a position. Returns the findings.
fn lint(here: &Path, limit: u64) -> Vec<String> {
    let args = ["lint", "suites"];
    let output = meshproof(here, &args, limit);
    let (found, _) = ended_well(&args, &output);
    for line in found.lines() {
        let place = place(line);
        assert!(
            place.is_some_and(|(_, line, column)| line > 0 && column > 0),
            "no position: {line}"
        );
    }
    assert!(!found.contains("area/good."), "{found}");
    found.lines().map(str::to_owned).collect()
}

#[test]
fn the_file_that_is_broken_is_right_before() {
    let root = folder();
    assert_eq!(lint(root.path(), ONE), [""; 0]);
}

#[test]
fn any_value_may_stand_anywhere() {
    let root = folder();
    let area = root.path().join("suites/area");
    let mut count = 0;
    for (number, (at, before)) in FIELDS.iter().enumerate() {
        assert!(GOOD.contains(at), "{at}");
        for (value_number, value) in values().iter().enumerate() {
            let name = format!("f{number}-{value_number}");
            std::fs::write(area.join(format!("{name}.yaml")), broken(at, before, value))
                .expect("written");
            std::fs::write(area.join(format!("{name}.istio.yaml")), OBJECT).expect("written");
            count += 1;
        }
    }
    let found = lint(root.path(), ALL);
    let mut files: Vec<&str> = found
        .iter()
        .filter_map(|line| Some(place(line)?.0))
        .collect();
    files.dedup();
    // Some values are valid in some fields.
    assert!(files.len() * 10 > count * 6, "{} of {count}", files.len());
    for args in [
        &["explain", "suites"][..],
        &["run", "--dry-run"],
        &["lint", "suites", "-o", "json"],
    ] {
        let output = meshproof(root.path(), args, ALL);
        ended_well(args, &output);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}

#[rstest]
#[case::pods("replicas: 3", "replicas: 4294967295", "replicas are too many")]
#[case::many_pods("replicas: 3", "replicas: 10000000", "replicas are too many")]
#[case::scaled("replicas: 4", "replicas: 4294967295", "replicas are too many")]
#[case::calls("times: 100", "times: 18446744073709551615", "calls are too many")]
#[case::word("reaches-all: greeter\n", &format!("{}: greeter\n", "reaches".repeat(140)), "unknown key 'reaches")]
#[case::long_word("reaches-all: greeter\n", &format!("? {}\n      : 1\n", "reaches".repeat(40_000)), "a key of 280000 bytes")]
#[case::capability("needs: [sidecar]", &format!("needs: [{}]", "side".repeat(75_000)), "unknown capability")]
#[case::capabilities("needs: [sidecar]", &format!("needs: [{}]", "sidecars,".repeat(90_000)), "entries are too many")]
#[case::cases("    - name: one\n", &cases(30_000), "more than 500 cases")]
#[case::some_cases("    - name: one\n", &cases(400), "")]
#[case::placeholders("why: One", &format!("why: {}", "${".repeat(300_000)), "unknown placeholder")]
#[case::long_line("why: One", &format!("why: {}", "w ".repeat(500_000)), "")]
#[case::deep("labels: {group: a}", &format!("labels: {}", "[".repeat(500_000)), "recursion limit exceeded")]
#[case::doubled("labels: {group: a}", "labels: {group: a, group: b}", "duplicate key")]
fn no_scenario_takes_long_or_much(#[case] at: &str, #[case] instead: &str, #[case] message: &str) {
    let root = folder();
    let area = root.path().join("suites/area");
    assert!(GOOD.contains(at), "{at}");
    std::fs::write(area.join("bad.yaml"), GOOD.replacen(at, instead, 1)).expect("written");
    std::fs::write(area.join("bad.istio.yaml"), OBJECT).expect("written");
    let found = lint(root.path(), ONE);
    assert!(
        message.is_empty() || found.iter().any(|line| line.contains(message)),
        "{found:?}"
    );
    for args in [&["explain", "suites"][..], &["run", "--dry-run"]] {
        ended_well(args, &meshproof(root.path(), args, ONE));
    }
}

fn cases(count: usize) -> String {
    let mut text = "    - name: one\n      with: {times: 150}\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "    - {{name: c{number}}}");
    }
    text + "    - name: last\n"
}

/// Aliases of aliases, which expand to many nodes, bytes or levels.
fn bomb(leaf: &str, width: usize, levels: usize) -> String {
    let list = |item: &str| vec![item; width].join(", ");
    let mut text = format!("{OBJECT}spec:\n  a0: &a0 [{}]\n", list(leaf));
    for level in 1..levels {
        let _ = writeln!(
            text,
            "  a{level}: &a{level} [{}]",
            list(&format!("*a{}", level - 1))
        );
    }
    text
}

#[rstest]
#[case::nodes(bomb("x", 10, 12), "nodes once aliases are expanded")]
#[case::bytes(format!("{OBJECT}s: &s {}\nspec: [{}]\n", "x".repeat(100_000), vec!["*s"; 9_000].join(",")), "bytes once aliases are expanded")]
#[case::levels(bomb("x", 1, 500), "nested deeper")]
#[case::circle(format!("{OBJECT}spec: &a [*a]\n"), "inside the node that it refers to")]
#[case::deep(format!("{OBJECT}spec: {}", "{a: ".repeat(200_000)), "nested deeper")]
#[case::long_key(format!("{OBJECT}\"{}\": 1\n", "k".repeat(500_000)), "")]
#[case::long_paths(long_paths(), "long keys with too many nested values")]
#[case::twice(format!("{OBJECT}spec: {{a: 1, a: 2}}\n"), "duplicate key")]
#[case::objects(vec![OBJECT; 900].join("---\n"), "900 objects in one file")]
#[case::documents("---\n".repeat(250_000), "more than 1000 documents")]
#[case::large("#".repeat((1 << 20) + 1), "has more than 1048576 bytes")]
#[case::template(format!("{OBJECT}spec: {{{{ .Values.x }}}}\n"), "Helm template")]
#[case::braces("{{".repeat(500_000), "")]
#[case::placeholders(format!("{OBJECT}spec: \"{}\"\n", "${x}".repeat(200_000)), "unknown placeholder")]
#[case::escapes(format!("{OBJECT}\"\\e]52;c;x\\a\": 1\n\"\\e]52;c;x\\a\": 1\n"), "duplicate key")]
#[case::raw_escapes(format!("{OBJECT}\u{1b}]0;x\u{7}: 1\n"), "")]
#[case::outside("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n".into(), "is cluster-scoped")]
#[case::path("apiVersion: v1\nkind: ../../x\nmetadata: {name: '../../../x'}\n".into(), "cannot be the kind")]
#[case::merge(format!("{OBJECT}a: &a {{x: 1}}\nspec: {{<<: [*a, 3]}}\n"), "must be a map or a list of maps")]
fn no_manifest_takes_long_or_much(#[case] text: String, #[case] message: &str) {
    let root = folder();
    let area = root.path().join("suites/area");
    std::fs::write(area.join("bad.yaml"), GOOD).expect("written");
    std::fs::write(area.join("bad.istio.yaml"), text).expect("written");
    let found = lint(root.path(), ONE);
    assert!(
        message.is_empty() || found.iter().any(|line| line.contains(message)),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .all(|line| line.starts_with("suites/area/bad.istio.yaml:")),
        "{found:?}"
    );
}

/// Fifty nested keys of a thousand bytes each, with many values below.
fn long_paths() -> String {
    let mut text = OBJECT.to_owned();
    for level in 0..50 {
        let _ = writeln!(text, "{}{}:", " ".repeat(level), "k".repeat(1000));
    }
    let _ = writeln!(text, "{}[{}]", " ".repeat(50), vec!["1"; 90_000].join(","));
    text
}

#[test]
fn files_that_are_none_keep_no_other_from_being_looked_at() {
    let root = folder();
    let area = root.path().join("suites/area");
    let path = |name: &str| area.join(name);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&path("fifo.yaml"), mode).expect("made");
    for (name, to) in [
        ("kernel.yaml", "/proc/kmsg"),
        ("zero.yaml", "/dev/zero"),
        ("self.yaml", "self.yaml"),
        ("nowhere.yaml", "/no/such/file"),
    ] {
        std::os::unix::fs::symlink(to, path(name)).expect("made");
    }
    std::os::unix::fs::symlink(&area, path("circle")).expect("made");
    std::fs::create_dir(path("folder.yaml")).expect("made");
    std::fs::write(path("latin.yaml"), b"title: caf\xe9\n").expect("written");
    std::fs::write(path("wide.yaml"), b"\xff\xfet\0i\0").expect("written");
    std::fs::write(path("zeros.yaml"), b"title: \0\0\0").expect("written");
    std::fs::write(path("empty.yaml"), b"").expect("written");
    std::fs::write(path("marked.yaml"), format!("\u{feff}{GOOD}")).expect("written");
    std::fs::write(path("marked.istio.yaml"), format!("\u{feff}{OBJECT}")).expect("written");
    std::fs::write(path("\u{1b}]0;x\u{7}.yaml"), GOOD).expect("written");
    std::fs::write(path("::error::x.yaml"), "a: b").expect("written");
    std::fs::write(area.join(std::ffi::OsStr::from_bytes(b"\xff.yaml")), GOOD).expect("written");
    let sparse = std::fs::File::create(path("sparse.yaml")).expect("made");
    sparse.set_len(3 << 30).expect("sparse");
    let found = lint(root.path(), ONE);
    for (name, message) in [
        ("fifo", "is a FIFO, not a file"),
        ("kernel", "not a file"),
        ("zero", "is a device, not a file"),
        ("self", "cannot be read"),
        ("nowhere", "does not exist, or is a dangling link"),
        ("latin", "not valid UTF-8; save it as UTF-8"),
        ("wide", "seems to be UTF-16"),
        ("empty", "the file is empty"),
        ("sparse", "more than 1048576 bytes"),
        ("::error::x", ""),
    ] {
        let hit = |line: &&String| {
            line.starts_with(&format!("suites/area/{name}.yaml:")) && line.contains(message)
        };
        assert!(found.iter().any(|line| hit(&line)), "{name}: {found:#?}");
    }
    assert!(
        found.iter().any(|line| line.contains("latin.yaml:1:11: ")),
        "{found:#?}"
    );
    let names = found
        .iter()
        .filter(|line| line.contains("contains control characters"));
    assert_eq!(names.count(), 2, "{found:#?}");
    assert!(
        !found.iter().any(|line| line.contains("marked")),
        "{found:#?}"
    );
    for args in [
        &["list"][..],
        &["list", "suites/area/fifo.yaml"],
        &["run", "--dry-run"],
    ] {
        let output = meshproof(root.path(), args, ONE);
        ended_well(args, &output);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn lists_of_expected_failures_are_read_with_the_same_care() {
    let root = folder();
    let known = root.path().join("suites/known");
    std::fs::create_dir_all(&known).expect("made");
    std::fs::write(
        known.join("istio-1.yaml"),
        "- {id: \"\\e[2J\", reason: a, link: b}\n",
    )
    .expect("written");
    std::fs::write(
        known.join("istio-2.yaml"),
        format!(
            "- {{id: {}, reason: r, link: 'h://x'}}\n",
            "a".repeat(300_000)
        ),
    )
    .expect("written");
    std::fs::write(known.join("istio-3.yaml"), b"\xff\xff").expect("written");
    std::os::unix::fs::symlink("/dev/zero", known.join("istio-4.yaml")).expect("made");
    let found = lint(root.path(), ONE);
    assert!(found.len() >= 4, "{found:#?}");
}

#[rstest]
#[case(&["list", "\u{1b}]0;x\u{7}"])]
#[case(&["run", "--dry-run", "../../../../../etc/passwd"])]
#[case(&["lint", "/proc/kmsg"])]
#[case(&["lint", "/dev/zero"])]
#[case(&["explain", "/proc/self/mem"])]
#[case(&["list", "-l", "\u{1b}[2J=x"])]
#[case(&["list", "********************************"])]
#[case(&["run", "--dry-run", "--repeat", "18446744073709551615"])]
fn words_of_a_command_line_are_no_better(#[case] args: &[&str]) {
    let root = folder();
    let output = meshproof(root.path(), args, ONE);
    ended_well(args, &output);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
