//! Renamed keys and values of suite files. There are no aliases: an old name is an error whose help
//! gives the new one.

/// Old and new names of keys, verbs, matchers and values.
const RENAMED: &[(&str, &str)] = &[
    ("alone", "serial"),
    ("avoids-busy", "least-request"),
    ("await", "wait-for-stat"),
    ("cell", "name"),
    ("cells", "cases"),
    ("counted", "counters"),
    ("counters", "stats"),
    ("diagnosis", "istioctl"),
    ("far-proxy", "inbound-proxy"),
    ("finish", "stop-background"),
    ("lost", "max-failed"),
    ("moved", "remapped"),
    ("near-proxy", "outbound-proxy"),
    ("ready", "expect-ready"),
    ("refused", "expect-rejected"),
    ("refutes", "must-fail"),
    ("server-end", "stream-outcome"),
    ("tell", "configure-server"),
    ("uses", "template"),
    ("vary", "cases"),
    ("versus", "compare"),
    ("world", "workloads"),
];

/// The help for an old word, if its current name is valid in its context.
pub fn renamed(word: &str, known: &[&str]) -> Option<String> {
    let (_, new) = RENAMED.iter().find(|(old, _)| *old == word)?;
    let valid = known.contains(new);
    valid.then(|| format!("'{word}' was renamed to '{new}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_word_has_a_new_name_only_where_that_is_known() {
        assert_eq!(
            renamed("world", &["probes", "workloads"]).as_deref(),
            Some("'world' was renamed to 'workloads'")
        );
        assert_eq!(renamed("world", &["probes"]), None);
        assert_eq!(renamed("workloads", &["workloads"]), None);
    }
}
