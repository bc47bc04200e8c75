use proptest::{collection, option, prelude::*, sample::Index};
use rstest::rstest;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Top {
    name: String,
    #[serde(default)]
    count: Option<String>,
    #[serde(default)]
    steps: Vec<Verb>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(dead_code)]
enum Verb {
    Apply(String),
    Scale(Scale),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Scale {
    to: u32,
}

#[test]
fn verbs_are_maps_with_one_key_and_numbers_may_stand_for_text() {
    let text = "name: a\ncount: 4\nsteps:\n- apply: istio\n- scale: {to: 3}\n";
    let (top, places) = parse::<Top>(text).unwrap();
    assert_eq!(top.count.as_deref(), Some("4"));
    assert!(matches!(&top.steps[1], Verb::Scale(Scale { to: 3 })));
    assert_eq!(places.key("steps[1].scale").line, 5);
    assert_eq!(places.value("steps[0].apply").column, 10);
}

#[rstest]
#[case("name: a\ncuont: 3\n", 2, 1, "unknown field `cuont`")]
#[case("name: a\nsteps:\n- aply: x\n", 3, 3, "unknown variant `aply`")]
#[case("name: a\nsteps:\n- scale:\n    too: 3\n", 4, 5, "unknown field `too`")]
#[case("name: a\nsteps:\n- scale:\n    to: many\n", 4, 9, "invalid type")]
#[case("name: [a]\n", 1, 7, "invalid type")]
#[case("count: 1\n", 1, 1, "missing field `name`")]
#[case("name: a\n---\nname: b\n", 3, 1, "second")]
#[case("name: [a\n", 2, 1, "")]
#[case("", 1, 1, "empty")]
fn errors_stand_where_the_mistake_is(
    #[case] text: &str,
    #[case] line: usize,
    #[case] column: usize,
    #[case] message: &str,
) {
    let error = parse::<Top>(text).unwrap_err();
    let position = (error.position.line, error.position.column);
    assert_eq!(position, (line, column), "{error:?}");
    assert!(
        error.message.starts_with(message) || error.message.contains(message),
        "{error:?}"
    );
}

#[test]
fn documents_keep_their_lines() {
    let text = "# head\na: 1\n---\n---\nb:\n  c: 2\n";
    let all = documents(text).unwrap();
    let lines: Vec<usize> = all.iter().map(|document| document.places.line()).collect();
    assert_eq!(lines, [2, 5]);
    assert_eq!(all[1].places.key("b.c").line, 6);
    assert_eq!(all[1].value["b"]["c"], 2);
}

#[test]
fn a_bomb_of_aliases_is_refused_before_it_is_built() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let list = vec![alias; 10].join(",");
        text += &format!("a{level}: &a{level} [{list}]\n");
    }
    let error = documents(&text).unwrap_err();
    assert!(error.message.contains("aliases"), "{error:?}");
    assert!(documents("a: &x [*x]\n").is_err(), "a loop");
    assert!(documents("a: &x 1\nb: *x\n").is_ok(), "a valid alias");
}

#[test]
fn deep_and_large_files_are_refused() {
    let deep = format!("a: {}1{}\n", "[".repeat(100), "]".repeat(100));
    assert!(places(&deep).unwrap_err().message.contains("deeper"));
    let large = format!("a: {}\n", "x".repeat(MAX_SIZE));
    assert!(places(&large).unwrap_err().message.contains("bytes"));
}

/// A document of [`Top`] and its number of steps.
fn document() -> impl Strategy<Value = (String, usize)> {
    let apply = "[a-z]{1,8}".prop_map(|name| format!("- apply: {name}\n"));
    let scale = (0..u32::MAX).prop_map(|to| format!("- scale:\n    to: {to} # comment\n"));
    let flow = (0..9_u32).prop_map(|to| format!("- scale: {{to: {to}}}\n"));
    let steps = collection::vec(prop_oneof![apply, scale, flow], 0..6);
    let count = option::of(prop_oneof!["[0-9]{1,4}", "'[a-z ]{0,5}'"]);
    let name = "\\PC{0,20}".prop_map(|name| serde_json::to_string(&name).unwrap());
    (name, count, steps).prop_map(|(name, count, steps)| {
        let count = count.map(|count| format!("count: {count}\n"));
        let mut text = format!("name: {name}\n{}", count.unwrap_or_default());
        if !steps.is_empty() {
            text += &format!("steps:\n{}", steps.concat());
        }
        (text, steps.len())
    })
}

/// Replaces characters by YAML syntax characters, or removes them.
fn mutate(text: &str, mutations: &[(Index, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, new) in mutations {
        let at = at.index(chars.len());
        chars.splice(at..=at, new.chars());
        if chars.is_empty() {
            chars.push('\n');
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #[test]
    fn reader_reads_every_document((text, steps) in document()) {
        let (top, places) = parse::<Top>(&text).map_err(|error| TestCaseError::fail(format!("{error:?}\n{text}")))?;
        prop_assert_eq!(top.steps.len(), steps);
        prop_assert_eq!(places.key("name").line, 1);
    }

    #[test]
    fn mistake_in_a_document_has_a_place_within_it(
        (text, _) in document(),
        mutations in collection::vec((any::<Index>(), "[-\\[\\]{}:,&*#|>'\"!?%@` \\n\\ta0\u{e4}\u{feff}]{0,2}"), 1..4),
    ) {
        let text = mutate(&text, &mutations);
        let lines = text.lines().count();
        for error in [parse::<Top>(&text).err(), documents(&text).err()].into_iter().flatten() {
            prop_assert!(!error.message.is_empty());
            prop_assert!((1..=lines + 1).contains(&error.position.line), "{error:?}\n{text:?}");
        }
    }
}
