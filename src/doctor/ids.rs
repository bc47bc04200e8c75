//! User and group ids of a local world: for an ordinary user, setuid programs write the id maps.

use super::check::{CheckBuilder, CheckState, DoctorCheck};

/// Ids that a world needs besides the user's own (see the world's `__idmap` role).
const IDS: u64 = 65_535;

/// One file with subordinate ids and the program that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// `newuidmap` or `newgidmap`.
    pub program: &'static str,
    pub found: Option<String>,
    /// `/etc/subuid` or `/etc/subgid`.
    pub file: &'static str,
    /// Contents of the file; `None` if it does not exist.
    pub text: Option<String>,
    /// Name of the user.
    pub user: String,
    /// User id.
    pub uid: u32,
}

/// The program and the range.
pub fn ids(facts: &Ids) -> [DoctorCheck; 2] {
    let why = "maps the user ids of containers if meshproof does not run as root";
    let program = CheckBuilder::new(facts.program, why);
    let program = match &facts.found {
        Some(path) => program.ok(path),
        None => program.package(CheckState::Missing, "not found in PATH", "uidmap"),
    };
    let about = CheckBuilder::new(
        facts.file,
        "assigns this user the ids that containers run as (at least 65535)",
    );
    let most = facts
        .text
        .as_deref()
        .map(|text| most(text, &facts.user, facts.uid));
    let range = match most {
        Some(Some(count)) if count >= IDS => {
            about.ok(format!("{count} ids for user {}", facts.user))
        }
        Some(Some(count)) => about.missing(
            format!(
                "only {count} ids for user {}, at least 65535 needed",
                facts.user
            ),
            remedy(&facts.user),
        ),
        Some(None) => about.missing(
            format!("no line for user {}", facts.user),
            remedy(&facts.user),
        ),
        None => about.missing("no such file", remedy(&facts.user)),
    };
    [program, range]
}

/// The size of the user's largest range (subuid(5)).
fn most(text: &str, user: &str, uid: u32) -> Option<u64> {
    let counts = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, _, count) = (fields.next()?, fields.next()?, fields.next()?);
        let mine = name == user || name.parse() == Ok(uid);
        mine.then(|| count.parse().ok())?
    });
    counts.max()
}

fn remedy(user: &str) -> String {
    format!("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn facts(text: Option<&str>) -> Ids {
        Ids {
            program: "newuidmap",
            found: Some("/usr/bin/newuidmap".to_owned()),
            file: "/etc/subuid",
            text: text.map(str::to_owned),
            user: "ann".to_owned(),
            uid: 1000,
        }
    }

    #[rstest]
    #[case::by_name(Some("ann:100000:65536\n"), CheckState::Ok, "65536")]
    #[case::by_number(Some("bob:1:65536\n1000:100000:70000"), CheckState::Ok, "70000")]
    #[case::too_few(Some("ann:100000:1000"), CheckState::Missing, "only 1000")]
    #[case::of_somebody_else(Some("bob:100000:65536"), CheckState::Missing, "no line for user ann")]
    #[case::no_file(None, CheckState::Missing, "no such file")]
    fn a_range_has_to_be_large_enough(
        #[case] text: Option<&str>,
        #[case] state: CheckState,
        #[case] found: &str,
    ) {
        let [_, range] = ids(&facts(text));
        assert!(
            range.state == state && range.found.contains(found),
            "{range:?}"
        );
        let remedy = range.remedy.unwrap_or_default();
        assert_eq!(remedy.contains("--add-subuids"), state != CheckState::Ok);
    }

    #[test]
    fn the_program_comes_in_a_package() {
        let facts = Ids {
            found: None,
            ..facts(None)
        };
        assert_eq!(ids(&facts)[0].package, Some("uidmap"));
    }
}
