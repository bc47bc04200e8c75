//! Hints for mistyped and renamed words.

use super::renamed::renamed;

/// Longest word that others are compared with, in bytes: a slip of the hand is not longer, and
/// comparing takes time by its square.
const COMPARED: usize = 64;
/// Known words that are told at most.
const TOLD: usize = 70;

/// "did you mean" with the full list behind it.
pub fn sentence(word: &str, known: &[&str], what: &str) -> String {
    if let Some(name) = renamed(word, known) {
        return format!("'{word}' was renamed to '{name}'");
    }
    let list = format!("known {what}: {}", listed(known));
    match nearest(word, known) {
        Some(name) => format!("did you mean '{name}'? {list}"),
        None => list,
    }
}

/// The words one after the other, or the first of very many.
pub fn listed(known: &[&str]) -> String {
    match known {
        [] => "none".to_owned(),
        few if few.len() <= TOLD => few.join(", "),
        many => format!("{} and {} more", many[..TOLD].join(", "), many.len() - TOLD),
    }
}

/// The closest known word within a third of its length (edits: insert, delete, change, swap
/// neighbours).
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

/// The known word that a wrong one is closest to, if it is close at all.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    if let Some(name) = renamed(word, known) {
        return format!("'{word}' was renamed to '{name}'");
    }
    match nearest(word, known) {
        Some(name) => format!("did you mean '{name}'?"),
        None if known.is_empty() => "there is none of its kind here".to_owned(),
        None => format!("known are: {}", listed(known)),
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
