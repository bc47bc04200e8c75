//! Masks user names and passwords in URLs.

use std::borrow::Cow;

/// Replacement for a secret.
pub const MASK: &str = "***";

/// The text with the userinfo of every URL masked (RFC 3986 section 3.2.1):
/// `https://user:password@host` is `https://***@host`.
pub fn userinfo(text: &str) -> Cow<'_, str> {
    const START: &str = "://";
    let mut clean: Option<String> = None;
    let mut done = 0;
    for (found, _) in text.match_indices(START) {
        let start = found + START.len();
        let authority = &text[start..];
        let end = authority.find(|c: char| c.is_whitespace() || "/?#\"'<>\\`".contains(c));
        let authority = &authority[..end.unwrap_or(authority.len())];
        let Some(at) = authority.rfind('@') else {
            continue;
        };
        let clean = clean.get_or_insert_default();
        clean.push_str(&text[done..start]);
        clean.push_str(MASK);
        done = start + at;
    }
    match clean {
        Some(mut clean) => {
            clean.push_str(&text[done..]);
            Cow::Owned(clean)
        }
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "pull https://user:pa:ss@host:5000/x failed",
        "pull https://***@host:5000/x failed"
    )]
    #[case("http://a@b https://c:d@e", "http://***@b https://***@e")]
    #[case(
        "--registry-mirror=https://u:p@ss@host",
        "--registry-mirror=https://***@host"
    )]
    #[case("spiffe://cluster.local/ns/a@b", "spiffe://cluster.local/ns/a@b")]
    #[case("https://host/a@sha256:1 mail a@b", "https://host/a@sha256:1 mail a@b")]
    #[case("('http://u:p@proxy:3128')", "('http://***@proxy:3128')")]
    fn userinfo_of_urls_is_masked(#[case] text: &str, #[case] clean: &str) {
        assert_eq!(userinfo(text), clean);
    }
}
