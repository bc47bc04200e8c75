//! Compares versions as programs print them.

/// Returns whether `found`, such as `v1.0.6 (Lester Gooch #5)` or `6.1.0-13-amd64`, is at least
/// `minimum`; false for a text without a number.
pub(super) fn at_least(found: &str, minimum: &[u32]) -> bool {
    let start = found.find(|c: char| c.is_ascii_digit());
    let numbers = start.map_or("", |start| &found[start..]).split('.');
    let numbers = numbers.map_while(|part| {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part[..end].parse::<u32>().ok()
    });
    Vec::from_iter(numbers).as_slice() >= minimum
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("nftables v1.0.6 (Lester Gooch #5)", &[1, 0, 1], true)]
    #[case("v1.0.0", &[1, 0, 1], false)]
    #[case("6.1.0-13-amd64", &[5, 13], true)]
    #[case("5.10.0", &[5, 13], false)]
    #[case("kind v0.29.0 go1.24.2 linux/amd64", &[0, 27], true)]
    #[case("go1.26-devel", &[1, 26], true)]
    #[case("go1.9", &[1, 26], false)]
    #[case("no number", &[0, 1], false)]
    fn versions_are_compared_by_number(
        #[case] found: &str,
        #[case] minimum: &[u32],
        #[case] enough: bool,
    ) {
        assert_eq!(at_least(found, minimum), enough);
    }
}
