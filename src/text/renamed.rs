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

/// The current name of an old word, if that name is valid in its context.
pub fn renamed<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let (_, new) = RENAMED.iter().find(|(old, _)| *old == word)?;
    known.iter().find(|name| *name == new).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_word_has_a_new_name_only_where_that_is_known() {
        assert_eq!(
            renamed("world", &["probes", "workloads"]),
            Some("workloads")
        );
        assert_eq!(renamed("world", &["probes"]), None);
        assert_eq!(renamed("workloads", &["workloads"]), None);
    }
}
