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
    #[case] words: &str,
) {
    let error = parse::<Top>(text).unwrap_err();
    let place = (error.place.line, error.place.column);
    assert_eq!(place, (line, column), "{error:?}");
    assert!(
        error.message.starts_with(words) || error.message.contains(words),
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
    assert!(documents("a: &x 1\nb: *x\n").is_ok(), "an honest alias");
}

#[test]
fn deep_and_large_files_are_refused() {
    let deep = format!("a: {}1{}\n", "[".repeat(100), "]".repeat(100));
    assert!(places(&deep).unwrap_err().message.contains("deeper"));
    let large = format!("a: {}\n", "x".repeat(MAX_SIZE));
    assert!(places(&large).unwrap_err().message.contains("bytes"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\\n\u{e4}]{0,200}") {
        let _ = parse::<Top>(&text);
        let _ = documents(&text);
    }
}
