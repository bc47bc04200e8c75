//! Namespaces, in which a local world is created.

use super::{
    answer::NoAnswer,
    check::{CheckBuilder, DoctorCheck},
};

/// What is known about namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// The result of creating the namespaces of a world; the kernel's error if it refused. `None`
    /// if this program could not be started again to try.
    pub tried: Option<Result<(), NoAnswer>>,
    /// The effective user is root, to whom the two settings for ordinary users do not apply.
    pub root: bool,
    /// sysctl user.max_user_namespaces.
    pub most: Option<u64>,
    /// sysctl kernel.unprivileged_userns_clone (Debian's and Arch's kernels).
    pub unprivileged: Option<u64>,
    /// sysctl kernel.apparmor_restrict_unprivileged_userns (Ubuntu's kernels).
    pub apparmor: Option<u64>,
}

pub fn namespaces(facts: &NamespaceFacts) -> DoctorCheck {
    let about = CheckBuilder::new(
        "namespaces",
        "a local world runs in new namespaces, including a user namespace",
    );
    let message = match &facts.tried {
        Some(Ok(())) => return about.ok("created for a test"),
        Some(Err(message)) => message,
        None => {
            return about.advice(
                "could not be tested",
                "mount /proc and /dev, then run doctor again",
            );
        }
    };
    let (found, remedy) = match facts {
        NamespaceFacts { most: Some(0), .. } => (
            "user.max_user_namespaces is 0",
            "as root: sysctl -w user.max_user_namespaces=10000 (to make it permanent: a line in /etc/sysctl.d)",
        ),
        NamespaceFacts {
            root: false,
            unprivileged: Some(0),
            ..
        } => (
            "kernel.unprivileged_userns_clone is 0",
            "as root: sysctl -w kernel.unprivileged_userns_clone=1 (to make it permanent: a line in /etc/sysctl.d)",
        ),
        NamespaceFacts {
            root: false,
            apparmor: Some(1..),
            ..
        } => (
            "kernel.apparmor_restrict_unprivileged_userns is not 0",
            "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (to make it permanent: a line in /etc/sysctl.d), or add an AppArmor profile with `userns,` for this program",
        ),
        _ => (
            "creating them failed",
            "in a container: start it with --security-opt seccomp=unconfined, or --privileged; otherwise ask the administrator of this machine",
        ),
    };
    about.missing(format!("{found} ({message})"), remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::CheckState;

    fn refused() -> NamespaceFacts {
        NamespaceFacts {
            tried: Some(Err(NoAnswer::Refused("EPERM".to_owned()))),
            root: false,
            most: Some(1000),
            unprivileged: None,
            apparmor: None,
        }
    }

    #[rstest]
    #[case::none_at_all(NamespaceFacts { most: Some(0), ..refused() }, "max_user_namespaces=10000")]
    #[case::debian(NamespaceFacts { unprivileged: Some(0), ..refused() }, "unprivileged_userns_clone=1")]
    #[case::ubuntu(NamespaceFacts { apparmor: Some(1), ..refused() }, "apparmor_restrict_unprivileged_userns=0")]
    #[case::container(refused(), "seccomp=unconfined")]
    #[case::not_for_root(NamespaceFacts { root: true, unprivileged: Some(0), ..refused() }, "seccomp=unconfined")]
    #[case::without_proc(NamespaceFacts { most: None, ..refused() }, "seccomp=unconfined")]
    fn who_refuses_decides_the_way_out(#[case] facts: NamespaceFacts, #[case] word: &str) {
        let check = namespaces(&facts);
        assert_eq!(check.state, CheckState::Missing);
        assert!(
            check.remedy.as_ref().is_some_and(|way| way.contains(word))
                && check.found.contains("EPERM"),
            "{check:?}"
        );
    }

    #[test]
    fn what_was_made_counts_whatever_the_switches_say() {
        let facts = NamespaceFacts {
            tried: Some(Ok(())),
            unprivileged: Some(0),
            apparmor: Some(1),
            ..refused()
        };
        assert_eq!(namespaces(&facts).state, CheckState::Ok);
    }

    #[test]
    fn what_could_not_be_tried_is_not_judged() {
        let facts = NamespaceFacts {
            tried: None,
            ..refused()
        };
        assert_eq!(namespaces(&facts).state, CheckState::Advice);
    }
}
