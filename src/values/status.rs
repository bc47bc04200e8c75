//! gRPC status codes by name.

use testbed::derive::{CODE_NAMES as NAMES, code_name};

/// Every known name, in code order.
pub fn names() -> &'static [&'static str] {
    &NAMES
}

/// Code of a name or of a number within the known range; `None` for anything else.
pub fn code(name: &str) -> Option<u32> {
    let position = NAMES.iter().position(|known| *known == name);
    position.map(|at| at as u32).or_else(|| {
        name.parse::<u32>()
            .ok()
            .filter(|number| (*number as usize) < NAMES.len())
    })
}

/// Name of a code; codes outside the table keep their number (a peer may send any).
pub fn name(code: u32) -> String {
    code_name(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("OK", Some(0))]
    #[case("UNAVAILABLE", Some(14))]
    #[case("14", Some(14))]
    #[case("UNAUTHENTICATED", Some(16))]
    #[case("17", None)]
    #[case("unavailable", None)]
    #[case("UNAVAILIBLE", None)]
    fn a_status_is_known_by_name_or_number(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(code(text), expected);
    }

    #[test]
    fn names_and_codes_are_each_others_inverse() {
        for (number, text) in names().iter().enumerate() {
            assert_eq!(name(code(text).unwrap()), *text);
            assert_eq!(code(text), Some(number as u32));
        }
        assert_eq!(name(99), "CODE_99");
    }
}
