//! The local target: a private world on this machine.

use std::path::PathBuf;

use super::{
    check::{CheckBuilder, CheckState, DoctorCheck},
    disk::{self, DiskSpace, Needs},
    ids::{self, Ids},
    machine::{self, MachineFacts, Memory},
    namespaces::{self, NamespaceFacts},
    programs::{self, FoundProgram, OF_THE_WORLD},
};

const GB: u64 = 1_000_000_000;

/// What is known about this machine as a place for a local world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFacts {
    pub machine: MachineFacts,
    pub namespaces: NamespaceFacts,
    /// For users and for groups; none for root, who writes the maps itself.
    pub ids: Vec<Ids>,
    /// In the order of [`OF_THE_WORLD`].
    pub programs: Vec<FoundProgram>,
    pub nft: FoundProgram,
    pub chain: Chain,
    /// The test bed's program beside this one.
    pub testbed: Result<PathBuf, PathBuf>,
    /// Where the state of a running world lies.
    pub state: DiskSpace,
    pub browser: Browser,
}

/// The tool chain, and what makes the part of it that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// What is there, in words; the error when the cache cannot be looked at.
    pub said: Result<String, String>,
    /// `Some` when programs have to be built.
    pub go: Option<FoundProgram>,
    /// The oldest Go that builds them.
    pub go_minimum: &'static str,
    /// `Some` when wheels have to be fetched.
    pub pip: Option<FoundProgram>,
    /// The cache; `None` when nobody knows where it would be.
    pub cache: Option<DiskSpace>,
}

/// What a real browser as a client needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Browser {
    /// This program can drive one.
    pub built_in: bool,
    pub chromium: FoundProgram,
    pub npm: FoundProgram,
}

/// Everything that the local target needs.
pub fn checks(facts: &LocalFacts) -> Vec<DoctorCheck> {
    let mut checks = vec![
        machine::system(&facts.machine),
        machine::kernel(&facts.machine),
        machine::memory(&facts.machine, Memory::LOCAL),
        namespaces::namespaces(&facts.namespaces),
    ];
    checks.extend(facts.ids.iter().flat_map(ids::ids));
    let programs = OF_THE_WORLD.iter().zip(&facts.programs);
    checks.extend(programs.map(|(wanted, found)| programs::there(*wanted, found)));
    checks.push(programs::nft(&facts.nft));
    checks.push(testbed(&facts.testbed));
    checks.extend(chain(&facts.chain));
    checks.push(disk::room(
        &facts.state,
        Needs {
            name: "state directory",
            why: "sockets, keys and logs of a world while it runs",
            least: GB / 10,
            enough: GB / 2,
            elsewhere: "set XDG_RUNTIME_DIR to a directory of your own (mode 0700) that may be written to",
        },
    ));
    checks.extend(browser(&facts.browser));
    checks
}

pub(super) fn testbed(found: &Result<PathBuf, PathBuf>) -> DoctorCheck {
    let about = CheckBuilder::new(
        "testbed",
        "the servers and callers of every scenario; it lies beside meshproof",
    );
    match found {
        Ok(path) => about.ok(path.display().to_string()),
        Err(path) => about.missing(
            format!("not at {}", path.display()),
            "put it there; in the source tree: cargo build --release --workspace",
        ),
    }
}

fn chain(chain: &Chain) -> Vec<DoctorCheck> {
    let ready = chain.go.is_none() && chain.pip.is_none();
    let about = CheckBuilder::new(
        "tool chain",
        "etcd, API server, controllers, CoreDNS, istiod and Envoy",
    );
    let first = match &chain.said {
        Ok(said) if ready => about.ok(said),
        Ok(said) => about.advice(
            said,
            "the first run makes what is missing (about ten minutes); or do it now: meshproof toolchain prepare",
        ),
        Err(words) => about.missing(
            words,
            "set HOME or XDG_CACHE_HOME to a directory that may be written to",
        ),
    };
    let mut checks = vec![first];
    let go = chain.go.as_ref();
    checks.extend(go.map(|go| programs::go(go, chain.go_minimum)));
    checks.extend(chain.pip.as_ref().map(programs::pip));
    checks.extend(chain.cache.as_ref().map(|room| cache(room, ready)));
    checks
}

/// Building takes room once (0.7 GB here, Go's own caches about 5 GB); what is built takes none.
fn cache(room: &DiskSpace, ready: bool) -> DoctorCheck {
    let (least, enough) = match ready {
        true => (0, GB / 2),
        false => (6 * GB, 10 * GB),
    };
    let needs = Needs {
        name: "cache",
        why: "holds the tool chain, and Go's caches while it is built",
        least,
        enough,
        elsewhere: "set XDG_CACHE_HOME to a directory with more room",
    };
    disk::room(room, needs)
}

/// Never missing: scenarios with a browser are skipped without one.
fn browser(browser: &Browser) -> Vec<DoctorCheck> {
    let why = "scenarios with a real browser, which are skipped without it";
    let about = CheckBuilder::new("browser", why);
    let mut checks = vec![match browser.built_in {
        true => about.ok("this meshproof can drive one"),
        false => about.advice(
            "this meshproof is built without it",
            "cargo build --release --workspace --features meshproof/browser",
        ),
    }];
    if !browser.built_in {
        return checks;
    }
    for (name, package, program) in [
        ("chromium", "chromium", &browser.chromium),
        ("npm", "npm", &browser.npm),
    ] {
        let about = CheckBuilder::new(name, why);
        checks.push(match program.found() {
            Some(found) => about.ok(found),
            None => about.package(CheckState::Advice, "not on PATH", package),
        });
    }
    checks
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use CheckState::{Advice, Missing};

    fn at(path: &str) -> FoundProgram {
        FoundProgram {
            path: Some(path.into()),
            version: None,
        }
    }

    fn ready() -> Chain {
        Chain {
            said: Ok("ready".to_owned()),
            go: None,
            go_minimum: "1.26",
            pip: None,
            cache: Some(DiskSpace {
                path: "/cache".into(),
                free: Ok(GB),
            }),
        }
    }

    fn states(checks: &[DoctorCheck]) -> Vec<(&str, CheckState)> {
        let pairs = checks.iter();
        pairs
            .map(|check| (check.name.as_str(), check.state))
            .collect()
    }

    #[test]
    fn what_is_cached_needs_neither_go_nor_pip_nor_room() {
        assert_eq!(
            states(&chain(&ready())),
            [("tool chain", CheckState::Ok), ("cache", CheckState::Ok)]
        );
    }

    #[test]
    fn what_is_not_cached_needs_all_three() {
        let facts = Chain {
            go: Some(FoundProgram::default()),
            pip: Some(FoundProgram::default()),
            ..ready()
        };
        assert_eq!(
            states(&chain(&facts)),
            [
                ("tool chain", Advice),
                ("go", Missing),
                ("python3 with pip", Missing),
                ("cache", Missing)
            ]
        );
    }

    #[test]
    fn a_cache_that_nobody_can_place_is_missing() {
        let facts = Chain {
            said: Err("no cache directory".to_owned()),
            cache: None,
            ..ready()
        };
        let checks = chain(&facts);
        assert_eq!(states(&checks), [("tool chain", Missing)]);
        let way_out = checks[0].way_out.as_deref().unwrap_or_default();
        assert!(way_out.contains("XDG_CACHE_HOME"), "{way_out}");
    }

    #[rstest]
    #[case::there(Ok("/opt/testbed".into()), CheckState::Ok)]
    #[case::absent(Err("/opt/testbed".into()), Missing)]
    fn the_testbed_lies_beside(#[case] found: Result<PathBuf, PathBuf>, #[case] state: CheckState) {
        let check = testbed(&found);
        assert!(
            check.state == state && check.found.contains("/opt/testbed"),
            "{check:?}"
        );
    }

    #[rstest]
    #[case::not_built_in(Browser::default(), &[("browser", Advice)])]
    #[case::built_in(
        Browser { built_in: true, chromium: at("/usr/bin/chromium"), npm: FoundProgram::default() },
        &[("browser", CheckState::Ok), ("chromium", CheckState::Ok), ("npm", Advice)]
    )]
    fn a_browser_is_never_missing(#[case] facts: Browser, #[case] expected: &[(&str, CheckState)]) {
        assert_eq!(states(&browser(&facts)), expected);
    }
}
