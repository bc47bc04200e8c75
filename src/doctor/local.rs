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

/// What is known about this machine as a host for a local world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFacts {
    pub machine: MachineFacts,
    pub namespaces: NamespaceFacts,
    /// For users and for groups; empty for root, who writes the maps without help.
    pub ids: Vec<Ids>,
    /// In the order of [`OF_THE_WORLD`].
    pub programs: Vec<FoundProgram>,
    pub nft: FoundProgram,
    pub chain: Chain,
    /// The test bed's program next to this one.
    pub testbed: Result<PathBuf, PathBuf>,
    /// Directory for the state of a running world.
    pub state: DiskSpace,
    pub browser: Browser,
}

/// The tool chain, and the programs that build its missing parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The state of the cache as text; the error if the cache cannot be read.
    pub answer: Result<String, String>,
    /// `Some` if programs have to be built.
    pub go: Option<FoundProgram>,
    /// The oldest Go version that builds them.
    pub go_minimum: &'static str,
    /// `Some` if wheels have to be fetched.
    pub pip: Option<FoundProgram>,
    /// The cache; `None` if its directory is unknown.
    pub cache: Option<DiskSpace>,
}

/// Requirements for a real browser as a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Browser {
    /// This build can drive a browser.
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
    checks.extend(programs.map(|(expected, found)| programs::there(*expected, found)));
    checks.push(programs::nft(&facts.nft));
    checks.push(testbed(&facts.testbed));
    checks.extend(chain(&facts.chain));
    checks.push(disk::room(
        &facts.state,
        Needs {
            name: "state directory",
            why: "sockets, keys and logs of a running world",
            least: GB / 10,
            enough: GB / 2,
            elsewhere: "set XDG_RUNTIME_DIR to a writable directory that only you can access (mode 0700)",
        },
    ));
    checks.extend(browser(&facts.browser));
    checks
}

pub(super) fn testbed(found: &Result<PathBuf, PathBuf>) -> DoctorCheck {
    let about = CheckBuilder::new(
        "testbed",
        "the servers and callers of every scenario; it is installed next to meshproof",
    );
    match found {
        Ok(path) => about.ok(path.display().to_string()),
        Err(path) => about.missing(
            format!("not found at {}", path.display()),
            "install it there; in the source tree: cargo build --release --workspace",
        ),
    }
}

fn chain(chain: &Chain) -> Vec<DoctorCheck> {
    let ready = chain.go.is_none() && chain.pip.is_none();
    let about = CheckBuilder::new(
        "tool chain",
        "etcd, API server, controllers, CoreDNS, istiod and Envoy",
    );
    let first = match &chain.answer {
        Ok(answer) if ready => about.ok(answer),
        Ok(answer) => about.advice(
            answer,
            "the first run builds what is missing (about ten minutes), or build it now: meshproof toolchain prepare",
        ),
        Err(message) => about.missing(
            message,
            "set HOME or XDG_CACHE_HOME to a writable directory",
        ),
    };
    let mut checks = vec![first];
    let go = chain.go.as_ref();
    checks.extend(go.map(|go| programs::go(go, chain.go_minimum)));
    checks.extend(chain.pip.as_ref().map(programs::pip));
    checks.extend(chain.cache.as_ref().map(|room| cache(room, ready)));
    checks
}

/// Building needs space once (0.7 GB for the cache, about 5 GB for Go's own caches); after that,
/// none.
fn cache(room: &DiskSpace, ready: bool) -> DoctorCheck {
    let (least, enough) = match ready {
        true => (0, GB / 2),
        false => (6 * GB, 10 * GB),
    };
    let needs = Needs {
        name: "cache",
        why: "stores the tool chain, and Go's caches during the build",
        least,
        enough,
        elsewhere: "set XDG_CACHE_HOME to a directory with more free space",
    };
    disk::room(room, needs)
}

/// Never missing: scenarios with a browser are skipped without one.
fn browser(browser: &Browser) -> Vec<DoctorCheck> {
    let why = "scenarios with a real browser; they are skipped without it";
    let about = CheckBuilder::new("browser", why);
    let mut checks = vec![match browser.built_in {
        true => about.ok("supported by this build of meshproof"),
        false => about.advice(
            "not supported by this build of meshproof",
            "build meshproof with it: cargo build --release --workspace --features meshproof/browser",
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
            None => about.package(CheckState::Advice, "not found in PATH", package),
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
            answer: Ok("ready".to_owned()),
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
            answer: Err("no cache directory".to_owned()),
            cache: None,
            ..ready()
        };
        let checks = chain(&facts);
        assert_eq!(states(&checks), [("tool chain", Missing)]);
        let remedy = checks[0].remedy.as_deref().unwrap_or_default();
        assert!(remedy.contains("XDG_CACHE_HOME"), "{remedy}");
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
