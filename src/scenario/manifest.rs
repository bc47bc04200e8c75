//! Text beside a scenario: placeholders, and hints for mistyped words.

/// The only placeholders that mesh configuration, authorities and addresses may hold.
pub const PLACEHOLDERS: [&str; 3] = ["namespace", "host", "gateway"];

/// What placeholders stand for in one run of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'a> {
    /// The scenario's own namespace.
    pub namespace: &'a str,
    /// Its own external host, shared with nobody.
    pub host: &'a str,
    /// Name of the ingress gateway's workload label, as Istio's `selector` wants it.
    pub gateway: &'a str,
}

/// Replaces the known placeholders and nothing else; lint has refused all others.
pub fn expand(text: &str, names: &Names<'_>) -> String {
    text.replace("${namespace}", names.namespace)
        .replace("${host}", names.host)
        .replace("${gateway}", names.gateway)
}

/// Unknown placeholders that are told of one file.
const UNKNOWN: usize = 20;

/// The first `${…}` that are no known placeholders: (byte offset, its text).
pub fn unknown_placeholders(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("${") {
        let rest = &text[at + 2..];
        let name = rest.split(['}', '\n']).next().unwrap_or_default();
        if !PLACEHOLDERS.contains(&name) || !rest[name.len()..].starts_with('}') {
            let name: String = name.chars().take(COMPARED).collect();
            found.push((at, format!("${{{name}}}")));
            if found.len() == UNKNOWN {
                break;
            }
        }
    }
    found
}

/// Longest word that others are compared with, in bytes: a slip of the hand is not longer, and comparing takes time by its square.
const COMPARED: usize = 64;
/// Known words that are told at most.
const TOLD: usize = 70;

/// "did you mean" with the full list behind it.
pub fn sentence(word: &str, known: &[&str], what: &str) -> String {
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

/// The closest known word within a third of its length (edits: insert, delete, change, swap neighbours).
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

    #[test]
    fn placeholders_are_a_closed_set() {
        let text = "a: ${namespace}\nb: ${user}\nc: ${host}.${gateway}\nd: ${host\ne: $HOME";
        let found = unknown_placeholders(text);
        let words: Vec<&str> = found.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["${user}", "${host}"]);
        let names = Names {
            namespace: "n",
            host: "h.test",
            gateway: "g",
        };
        assert_eq!(
            expand("${namespace} ${host} ${gateway} ${x}", &names),
            "n h.test g ${x}"
        );
    }
}
