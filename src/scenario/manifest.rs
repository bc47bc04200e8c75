//! Placeholders in manifests, authorities and addresses.

/// The placeholders allowed in mesh configuration, authorities and addresses.
pub const PLACEHOLDERS: [&str; 3] = ["namespace", "host", "gateway"];

/// Values of the placeholders in one run of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'a> {
    /// The scenario's own namespace.
    pub namespace: &'a str,
    /// Its own external host, which no other scenario uses.
    pub host: &'a str,
    /// Value of the ingress gateway's `istio` label, for Istio's `selector`.
    pub gateway: &'a str,
}

/// Replaces the known placeholders and nothing else; lint rejects all others.
pub fn expand(text: &str, names: &Names<'_>) -> String {
    text.replace("${namespace}", names.namespace)
        .replace("${host}", names.host)
        .replace("${gateway}", names.gateway)
}

/// Longest unknown placeholder that is shown, in characters.
const SHOWN: usize = 64;
/// Most unknown placeholders reported per file.
const UNKNOWN: usize = 20;

/// The first unknown `${…}`: (byte offset, text).
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
        let parts: Vec<&str> = found.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(parts, ["${user}", "${host}"]);
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
