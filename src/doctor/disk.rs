//! Free space on a file system.

use std::path::PathBuf;

use super::{
    check::{CheckBuilder, DoctorCheck},
    machine::gb,
};

/// A directory that will be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSpace {
    pub path: PathBuf,
    /// Bytes that this user can still write there; an error text if that is unknown or the
    /// directory is not writable.
    pub free: Result<u64, String>,
}

/// What a directory is for, and how many bytes it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    pub name: &'static str,
    pub why: &'static str,
    pub least: u64,
    pub enough: u64,
    /// How to choose another directory.
    pub elsewhere: &'static str,
}

pub(super) fn room(room: &DiskSpace, needs: Needs) -> DoctorCheck {
    let about = CheckBuilder::new(needs.name, needs.why);
    let path = room.path.display();
    match &room.free {
        Err(message) => about.missing(format!("{path}: {message}"), needs.elsewhere),
        Ok(free) => {
            let found = format!("{} free at {path}", gb(*free));
            let remedy = format!(
                "free disk space there ({} recommended), or {}",
                gb(needs.enough),
                needs.elsewhere
            );
            match *free {
                _ if *free < needs.least => about.missing(found, remedy),
                _ if *free < needs.enough => about.advice(found, remedy),
                _ => about.ok(found),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::CheckState::{self, Advice, Missing, Ok};

    #[rstest]
    #[case(Result::Ok(20_000_000_000), Ok, "20.0 GB")]
    #[case(Result::Ok(9_900_000_000), Advice, "9.9 GB")]
    #[case(Result::Ok(1), Missing, "0.0 GB")]
    #[case(Err("Read-only file system".to_owned()), Missing, "Read-only")]
    fn room_has_three_outcomes(
        #[case] free: Result<u64, String>,
        #[case] state: CheckState,
        #[case] word: &str,
    ) {
        let needs = Needs {
            name: "cache",
            why: "",
            least: 3_000_000_000,
            enough: 10_000_000_000,
            elsewhere: "set XDG_CACHE_HOME to another directory",
        };
        let path = PathBuf::from("/var/cache");
        let check = super::room(&DiskSpace { path, free }, needs);
        assert!(
            check.state == state
                && check.found.contains(word)
                && check.found.contains("/var/cache"),
            "{check:?}"
        );
        let remedy = check.remedy.unwrap_or_default();
        assert_eq!(remedy.contains("XDG_CACHE_HOME"), state != Ok, "{remedy}");
    }
}
