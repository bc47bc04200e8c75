//! Suggestions for mistyped and renamed words.

use super::renamed::renamed;

/// Longest word that is compared with others, in bytes: longer words are not typos, and comparing
/// takes quadratic time.
const COMPARED: usize = 64;
/// How many known words are listed at most.
const TOLD: usize = 70;

/// "did you mean", followed by the full list.
pub fn sentence(word: &str, known: &[&str], what: &str) -> String {
    if let Some(help) = renamed(word, known) {
        return help;
    }
    let list = format!("known {what}: {}", listed(known));
    match nearest(word, known) {
        Some(name) => format!("did you mean '{name}'? {list}"),
        None => list,
    }
}

/// The words separated by commas, or the first of very many.
pub fn listed(known: &[&str]) -> String {
    match known {
        [] => "none".to_owned(),
        few if few.len() <= TOLD => few.join(", "),
        many => format!("{} and {} more", many[..TOLD].join(", "), many.len() - TOLD),
    }
}

/// The closest known word, at most a third of its length in edits away (insert, delete, change,
/// swap neighbours).
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > COMPARED {
        return None;
    }
    let near = known.iter().filter(|name| {
        let most = (name.len() / 3).max(1);
        name.len() <= COMPARED + most && name.len().abs_diff(word.len()) <= 4 * most
    });
    let best = near
        .map(|name| (strsim::osa_distance(word, name), *name))
        .min()?;
    (best.0 <= (best.1.len() / 3).max(1)).then_some(best.1)
}

/// Suggests the closest known word; if none is close, lists the known words.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    if let Some(help) = renamed(word, known) {
        return help;
    }
    match nearest(word, known) {
        Some(name) => format!("did you mean '{name}'?"),
        None if known.is_empty() => "none is defined here".to_owned(),
        None => format!("use one of {}", listed(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("stauts", Some("status"))]
    #[case("statu", Some("status"))]
    #[case("reach-all", Some("reaches-all"))]
    #[case("banana", None)]
    #[case(&"status".repeat(100_000), None)]
    fn a_slip_is_recognized(#[case] word: &str, #[case] expected: Option<&str>) {
        let known = ["status", "reaches-all", "share"];
        assert_eq!(nearest(word, &known), expected);
    }
}
