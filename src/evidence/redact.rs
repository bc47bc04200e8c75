//! Masks secrets in everything that is written: raw, in base64 at any alignment and
//! percent-encoded.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

use super::{
    sensitive::{self, MASK},
    starts::Starts,
};
use crate::text::userinfo;

/// Shorter pieces of a secret are not masked: they would match ordinary words.
const SHORTEST: usize = 6;

/// Secrets known so far. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    needles: Arc<RwLock<Needles>>,
}

#[derive(Debug, Default)]
struct Needles {
    /// Longest first.
    all: Vec<String>,
    /// How they begin.
    starts: Starts,
}

impl Redactor {
    /// From now on, masks `secret` and its encodings. Each line of a PEM text is also masked on
    /// its own. Secrets of fewer than six characters are ignored.
    pub fn register(&self, secret: &str) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        let lines = secret.lines().filter(|line| !line.starts_with("-----"));
        for piece in std::iter::once(secret.trim()).chain(lines.map(str::trim)) {
            for form in forms(piece) {
                if form.len() >= SHORTEST && !needles.all.contains(&form) {
                    needles.starts.insert(form.as_bytes());
                    needles.all.push(form);
                }
            }
        }
        let all = &mut needles.all;
        all.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    }

    /// From now on, masks the values of a Secret. Other objects are ignored.
    pub fn register_object(&self, object: &serde_json::Value) {
        let values = sensitive::secret_values(object);
        values.iter().for_each(|value| self.register(value));
    }

    /// Returns the text with secrets masked.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let needles = self.needles.read().unwrap_or_else(PoisonError::into_inner);
        let mut result = userinfo(text);
        // A run has hundreds of needles and megabytes of text, and hardly any text has one of
        // them: it is read once for all of them.
        let found = needles.starts.found_in(result.as_bytes());
        for needle in &needles.all {
            if found.may_begin(needle) && result.contains(needle.as_str()) {
                result = Cow::Owned(result.replace(needle.as_str(), MASK));
            }
        }
        result
    }
}

/// Returns the encodings in which a secret may appear.
fn forms(secret: &str) -> Vec<String> {
    if secret.len() < SHORTEST {
        return Vec::new();
    }
    let escaped = serde_json::to_string(secret).expect("a string is JSON");
    let mut forms = vec![
        secret.to_owned(),
        escaped[1..escaped.len() - 1].to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        url_form(secret),
    ];
    for shift in 0..3 {
        forms.push(base64_core(&STANDARD_NO_PAD, secret, shift));
        forms.push(base64_core(&URL_SAFE_NO_PAD, secret, shift));
    }
    forms
}

/// Percent-encoding that leaves RFC 3986's unreserved characters alone.
fn url_form(secret: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    percent_encode(secret.as_bytes(), KEEP).to_string()
}

/// Returns the characters of a base64 text that depend only on the secret if `shift` bytes (mod
/// 3) precede it.
fn base64_core(engine: &impl Engine, secret: &str, shift: usize) -> String {
    let padded: Vec<u8> = std::iter::repeat_n(0, shift)
        .chain(secret.bytes())
        .collect();
    let encoded = engine.encode(&padded);
    let head = (shift * 8).div_ceil(6);
    let tail = padded.len() * 8 / 6;
    encoded[head..tail].to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    pub(crate) const SECRET: &str = "s3cr3t/+?~pässword";

    pub(crate) fn redactor() -> Redactor {
        let redactor = Redactor::default();
        redactor.register(SECRET);
        redactor
    }

    #[rstest]
    #[case::raw(SECRET.to_owned())]
    #[case::base64(STANDARD.encode(SECRET))]
    #[case::base64_within(STANDARD.encode(format!("user:{SECRET}:more")))]
    #[case::base64_shifted(STANDARD.encode(format!("u:{SECRET}")))]
    #[case::url_base64(URL_SAFE_NO_PAD.encode(SECRET))]
    #[case::percent(utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string())]
    #[case::percent_unreserved(url_form(SECRET))]
    fn every_encoding_is_masked(#[case] carrier: String) {
        let written = redactor()
            .text(&format!("before {carrier} after"))
            .into_owned();
        assert!(
            written.contains(MASK) && written.starts_with("before ") && written.ends_with(" after"),
            "{written}"
        );
        assert!(
            !written.contains("s3cr3t") && !written.contains(&STANDARD.encode(SECRET)),
            "{written}"
        );
    }

    #[test]
    fn lines_of_a_key_are_masked_one_by_one() {
        let redactor = Redactor::default();
        redactor.register("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG\nSM49AgEGCCqGSM49\n-----END PRIVATE KEY-----\n");
        assert_eq!(redactor.text("tail: SM49AgEGCCqGSM49"), "tail: ***");
        assert_eq!(
            redactor.text("-----BEGIN PRIVATE KEY-----"),
            "-----BEGIN PRIVATE KEY-----"
        );
    }

    #[test]
    fn ordinary_text_is_untouched() {
        let redactor = redactor();
        redactor.register("ok");
        assert!(matches!(redactor.text("status OK, ok"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn base64_of_any_surroundings_hides_the_secret(before in ".{0,9}", after in ".{0,9}") {
            let carrier = STANDARD.encode(format!("{before}{SECRET}{after}"));
            let redactor = redactor();
            prop_assert!(redactor.text(&carrier).contains(MASK), "{}", carrier);
        }
    }
}
