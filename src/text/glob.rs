//! Glob patterns over ids and names.

/// Matches `*` within a path segment, `**` across segments, and `?` for one character.
pub fn glob(pattern: &str, text: &str) -> bool {
    fn rest(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', more @ ..] => (0..=text.len()).any(|at| rest(more, &text[at..])),
            [b'*', more @ ..] => {
                let part = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
                (0..=part).any(|at| rest(more, &text[at..]))
            }
            [b'?', more @ ..] => matches!(text, [b, tail @ ..] if *b != b'/' && rest(more, tail)),
            [byte, more @ ..] => matches!(text, [b, tail @ ..] if b == byte && rest(more, tail)),
        }
    }
    // Every star multiplies the work. Patterns come from a trusted command line, but are bounded
    // anyway.
    pattern.matches('*').count() <= 8 && rest(pattern.as_bytes(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("balancing/*", "balancing/a", true)]
    #[case("balancing/*", "balancing/a/b", false)]
    #[case("**/a", "x/y/a", true)]
    #[case("*/a?", "x/ab", true)]
    #[case("*/a?", "x/a/", false)]
    #[case("balancing/a", "balancing/ab", false)]
    fn globs(#[case] pattern: &str, #[case] id: &str, #[case] expected: bool) {
        assert_eq!(glob(pattern, id), expected);
    }
}
