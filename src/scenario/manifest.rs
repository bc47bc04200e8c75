//! Text beside a scenario: placeholders.

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

/// Characters of an unknown placeholder that are told.
const SHOWN: usize = 64;
/// Unknown placeholders that are told of one file.
const UNKNOWN: usize = 20;

/// The first `${…}` that are no known placeholders: (byte offset, its text).
pub fn unknown_placeholders(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("${") {
        let rest = &text[at + 2..];
        let name = rest.split(['}', '\n']).next().unwrap_or_default();
        if !PLACEHOLDERS.contains(&name) || !rest[name.len()..].starts_with('}') {
            let name: String = name.chars().take(SHOWN).collect();
            found.push((at, format!("${{{name}}}")));
            if found.len() == UNKNOWN {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
