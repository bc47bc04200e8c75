//! What the namespaces of scenarios are called.

/// A namespace name: unique in the run, readable, a DNS label (RFC 1123, at most 63 characters).
pub(crate) fn name(run: &str, number: usize, id: &str) -> String {
    let slug: String = id
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let mut name = format!("mp-{run}-{number}-{slug}");
    name.truncate(50);
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_namespace_name_is_a_dns_label() {
        let made = name(
            "x1",
            12,
            "routing/a-very-long-behaviour-name-that-nobody-would-shorten-by-hand",
        );
        assert!(
            made.len() <= 63 && !made.ends_with('-') && made.starts_with("mp-x1-12-routing-a-very"),
            "{made}"
        );
    }
}
