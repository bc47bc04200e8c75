//! Names of the namespaces of scenarios.

/// Returns a namespace name: unique in the run, readable, and a DNS label (RFC 1123, at most 63
/// characters).
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

/// Returns the name of a namespace that several scenarios use, one after the other.
pub(crate) fn of_the_pool(run: &str, number: usize) -> String {
    format!("mp-{run}-shared-{number}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::name;
    use crate::event::run_id::RunId;

    #[test]
    fn namespace_name_says_run_number_and_scenario() {
        let id = "routing/a-very-long-behaviour-name-that-nobody-would-shorten-by-hand";
        let recorded = name("x1", 12, id);
        assert_eq!(
            recorded,
            "mp-x1-12-routing-a-very-long-behaviour-name-that-n"
        );
    }

    /// RFC 1123, section 2.1, as Kubernetes applies it.
    fn is_dns_label(name: &str) -> bool {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = !name.starts_with('-') && !name.ends_with('-');
        (1..=63).contains(&name.len()) && name.chars().all(inner) && ends
    }

    proptest! {
        #[test]
        fn namespace_name_is_a_dns_label(number in 1..100_000_usize, id in "\\PC{0,120}") {
            let recorded = name(&RunId::random(), number, &id);
            prop_assert!(is_dns_label(&recorded), "{recorded}");
        }

        #[test]
        fn two_numbers_of_a_run_have_two_names(one in 1..100_000_usize, other in 1..100_000_usize, id in "[a-z/-]{0,120}") {
            let run = RunId::random();
            let differ = name(&run, one, &id) != name(&run, other, &id);
            prop_assert_eq!(differ, one != other);
        }
    }
}
