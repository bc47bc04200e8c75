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

/// Every `${…}` that is no known placeholder: (byte offset, its text).
pub fn unknown_placeholders(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("${") {
        let rest = &text[at + 2..];
        let name = rest.split(['}', '\n']).next().unwrap_or_default();
        if !PLACEHOLDERS.contains(&name) || !rest[name.len()..].starts_with('}') {
            found.push((at, format!("${{{name}}}")));
        }
    }
    found
}

/// "did you mean" with the full list behind it.
pub fn sentence(word: &str, known: &[&str], what: &str) -> String {
    let list = format!("known {what}: {}", known.join(", "));
    match nearest(word, known) {
        Some(name) => format!("did you mean '{name}'? {list}"),
        None => list,
    }
}

/// The closest known word within a third of its length (Damerau's edits: insert, delete, change, swap neighbours).
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let best = known
        .iter()
        .map(|name| (distance(word, name), *name))
        .min()?;
    (best.0 <= (best.1.len() / 3).max(1)).then_some(best.1)
}

fn distance(from: &str, to: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let edit = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped {
                        edit.min(rows[i - 2][j - 2] + 1)
                    } else {
                        edit
                    }
                }
            };
        }
    }
    rows[a.len()][b.len()]
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
