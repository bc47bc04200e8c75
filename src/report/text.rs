//! Text and numbers for readers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::errors::ErrorClass;
use crate::output::{clean, clean_line};
use crate::report::model::{CheckReport, Model};
use crate::verdict::outcome::{CheckResult, Verdict};

/// The verdict's name, as in `report.json`.
pub fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Error => "ERROR",
        Verdict::Skip => "SKIP",
        Verdict::KnownFailure => "KNOWN-FAILURE",
        Verdict::UnexpectedPass => "UNEXPECTED-PASS",
    }
}

/// The verdict of a scenario; for an ERROR with its class: `ERROR (machine)`.
pub fn verdict(verdict: Verdict, class: Option<ErrorClass>) -> String {
    match class {
        Some(class) => format!("{} ({})", label(verdict), class.name()),
        None => label(verdict).to_owned(),
    }
}

/// `840ms`, `4.2s`, `3m07s`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{}m{:02}s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// `3 passed, 1 failed, 2 errors (1 mesh, 1 machine), 2 skipped, 1 known failure, 0 unexpected
/// passes`.
pub fn counts(model: &Model) -> String {
    let counts = model.counts();
    let plural =
        |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    [
        format!("{} passed", counts.pass),
        format!("{} failed", counts.fail),
        plural(counts.error, "error", "errors") + &classes(&model.error_classes()),
        format!("{} skipped", counts.skip),
        plural(counts.known, "known failure", "known failures"),
        plural(counts.unexpected, "unexpected pass", "unexpected passes"),
    ]
    .join(", ")
}

/// ` (1 mesh, 1 machine)`; empty if no class is known.
fn classes(classes: &BTreeMap<ErrorClass, usize>) -> String {
    let each = classes
        .iter()
        .map(|(class, number)| format!("{number} {}", class.name()));
    let parts = each.collect::<Vec<_>>().join(", ");
    match parts.is_empty() {
        true => parts,
        false => format!(" ({parts})"),
    }
}

/// Text without escape sequences; line breaks stay.
pub fn plain(text: &str) -> String {
    clean(text).into_owned()
}

/// At most `max` characters on one line, without escape sequences.
pub fn short(text: &str, max: usize) -> String {
    let line = clean_line(text);
    if line.chars().count() <= max {
        return line;
    }
    line.chars()
        .take(max.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// A check that contradicts the scenario's claim, or is undecided.
pub fn is_bad(check: &CheckReport) -> bool {
    match check.check.result {
        CheckResult::Holds => check.check.contrast,
        CheckResult::Refuted => !check.check.contrast,
        CheckResult::Undecided => true,
    }
}

/// The result of a check as text.
pub fn result(check: &CheckReport) -> &'static str {
    match (check.check.result, check.check.contrast) {
        (CheckResult::Holds, false) => "holds",
        (CheckResult::Refuted, false) => "refuted",
        (CheckResult::Refuted, true) => "refuted, as required of a contrast",
        (CheckResult::Holds, true) => "passed although the contrast must fail",
        (CheckResult::Undecided, _) => "undecided",
    }
}

/// Quotes a word for a shell if necessary; bytes that are not UTF-8 become `$'…'` (POSIX.1-2024,
/// section 2.2.4).
pub fn shell_word(word: impl AsRef<OsStr>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,@%".contains(c);
    match word.as_ref().to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => {
            let byte = |byte: &u8| match char::from(*byte) {
                c if c.is_ascii() && plain(c) => c.to_string(),
                _ => format!("\\x{byte:02x}"),
            };
            let bytes = word.as_ref().as_bytes().iter();
            format!("$'{}'", bytes.map(byte).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0ms")]
    #[case(999, "999ms")]
    #[case(1_000, "1.0s")]
    #[case(59_999, "59.9s")]
    #[case(187_000, "3m07s")]
    fn durations_read_well(#[case] ms: u64, #[case] expected: &str) {
        assert_eq!(duration(ms), expected);
    }

    #[rstest]
    #[case("suites/a.yaml", "suites/a.yaml")]
    #[case("a b", "'a b'")]
    #[case("it's", r"'it'\''s'")]
    #[case("", "''")]
    #[case("$(x)", "'$(x)'")]
    fn reproduce_commands_can_be_pasted(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shell_word(text), expected);
    }

    #[test]
    fn short_text_is_one_clean_line() {
        assert_eq!(short("a\n\u{1b}[31mb c d", 5), "a b …");
    }
}
