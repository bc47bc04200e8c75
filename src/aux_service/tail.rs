//! The end of a program's log.

use crate::output::clean_line;

/// Number of log lines that an error shows.
const TAIL: usize = 15;

/// The last lines of a log, for an error.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    if lines.is_empty() {
        return "  | (no output)".to_owned();
    }
    let begin = lines.len().saturating_sub(TAIL);
    let shown = lines[begin..].iter();
    let shown: Vec<String> = shown
        .map(|line| format!("  | {}", clean_line(line)))
        .collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_shown_without_what_could_steer_a_terminal() {
        let log: String = (1..=40).map(|n| format!("line {n}\u{1b}[2J\n")).collect();
        let shown = tail(&log);
        assert_eq!(shown.lines().count(), TAIL);
        assert!(shown.ends_with("  | line 40"), "{shown}");
        assert!(tail("").contains("no output"));
    }
}
