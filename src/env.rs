//! Environment variables: their names, and the access to those that clap does not read.

use std::ffi::OsStr;
use std::path::PathBuf;

pub const TARGET: &str = "MESHPROOF_TARGET";
pub const NAME: &str = "MESHPROOF_NAME";
pub const ENVOY: &str = "MESHPROOF_ENVOY";
pub const ISTIO: &str = "MESHPROOF_ISTIO";
pub const ISTIOCTL: &str = "MESHPROOF_ISTIOCTL";
pub const HUB: &str = "MESHPROOF_HUB";
pub const TAG: &str = "MESHPROOF_TAG";
pub const PROFILE: &str = "MESHPROOF_PROFILE";
pub const NODES: &str = "MESHPROOF_NODES";
pub const NODE_IMAGE: &str = "MESHPROOF_NODE_IMAGE";
pub const IMAGE_ARCHIVES: &str = "MESHPROOF_IMAGE_ARCHIVES";
pub const REGISTRY_MIRRORS: &str = "MESHPROOF_REGISTRY_MIRRORS";
pub const TESTBED_IMAGE: &str = "MESHPROOF_TESTBED_IMAGE";
pub const ALLOW_EXEC_PLUGINS: &str = "MESHPROOF_ALLOW_EXEC_PLUGINS";
pub const KEEP: &str = "MESHPROOF_KEEP";
pub const JOBS: &str = "MESHPROOF_JOBS";
pub const SEED: &str = "MESHPROOF_SEED";
pub const ISOLATION: &str = "MESHPROOF_ISOLATION";
pub const REPORT_DIR: &str = "MESHPROOF_REPORT_DIR";

/// The program `kind`, if not the one in PATH.
pub fn kind() -> Option<PathBuf> {
    let path = std::env::var_os("MESHPROOF_KIND").filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

/// What the environment says about output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminal {
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and not `0`.
    pub force_color: bool,
    /// `TERM=dumb`.
    pub dumb: bool,
    /// `CI` is set and not `false`: no progress bars, no redrawing.
    pub ci: bool,
}

impl Terminal {
    pub fn from_env() -> Self {
        Self::from(|name| std::env::var_os(name))
    }

    fn from<V: AsRef<OsStr>>(var: impl Fn(&str) -> Option<V>) -> Self {
        let set = |name: &str, off: &[&str]| {
            var(name).is_some_and(|value| {
                !value.as_ref().is_empty() && off.iter().all(|o| value.as_ref() != *o)
            })
        };
        Self {
            no_color: set("NO_COLOR", &[]),
            force_color: set("CLICOLOR_FORCE", &["0"]),
            dumb: var("TERM").is_some_and(|value| value.as_ref() == "dumb"),
            ci: set("CI", &["false", "0"]),
        }
    }
}

/// Returns whether this is a step of a GitHub Actions workflow.
pub fn github_actions() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// File that GitHub Actions shows as the step's summary, if this is a step of a workflow.
pub fn github_step_summary() -> Option<PathBuf> {
    let path = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty())?;
    github_actions().then(|| path.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[], Terminal::default())]
    #[case(&[("NO_COLOR", "")], Terminal::default())]
    #[case(&[("NO_COLOR", "0")], Terminal { no_color: true, ..Terminal::default() })]
    #[case(&[("CLICOLOR_FORCE", "0"), ("CI", "false")], Terminal::default())]
    #[case(&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb"), ("CI", "true")],
        Terminal { force_color: true, dumb: true, ci: true, ..Terminal::default() })]
    fn conventions_of_the_environment(#[case] vars: &[(&str, &str)], #[case] expected: Terminal) {
        let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        assert_eq!(Terminal::from(var), expected);
    }
}
