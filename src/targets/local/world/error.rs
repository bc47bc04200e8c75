//! Errors of a world's processes. They are reported on stderr, and in the world's file `failure`,
//! where the harness reads them.

use std::io;

use nix::errno::Errno;

/// A step that failed, or what was missing for it.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error("cannot {step}")]
    Io { step: String, source: io::Error },
    #[error("cannot {step}")]
    Kernel { step: String, source: Errno },
    #[error(
        "cannot create new namespaces: {0}; the local target needs user namespaces \
         (sysctl user.max_user_namespaces > 0, kernel.unprivileged_userns_clone=1, and no AppArmor restriction on them)"
    )]
    Namespaces(#[source] Errno),
    #[error(
        "cannot mount /proc in the world: {0}; inside a container, run it with an unmasked /proc"
    )]
    Proc(#[source] Errno),
    #[error("the id-map helper exited early")]
    HelperGone(#[source] io::Error),
    /// With the helper's message.
    #[error("cannot map user IDs: {answer}")]
    Ids { answer: String },
    #[error("cannot set up the node's links")]
    Links(#[source] rtnetlink::Error),
    #[error("cannot create the certificate authority")]
    Authority(#[source] rcgen::Error),
    #[error("cannot create the world's certificates")]
    Certificates(#[source] CertificateError),
}

/// An error creating a certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error(transparent)]
    Made(#[from] rcgen::Error),
    #[error(transparent)]
    Written(#[from] io::Error),
}

impl RoleError {
    /// A step that reads, writes or starts something; `step` follows "cannot".
    pub(super) fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let step = step.into();
        move |source| Self::Io { step, source }
    }

    /// A step that the kernel rejected.
    pub(super) fn kernel(step: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let step = step.into();
        move |source| Self::Kernel { step, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::chain;

    #[test]
    fn a_step_is_told_with_its_cause() {
        let absent = || io::Error::from_raw_os_error(nix::libc::ENOENT);
        let args = [
            chain(&RoleError::io("write /x/log")(absent())),
            chain(&RoleError::kernel("set the host name")(Errno::EPERM)),
            chain(&RoleError::Certificates(absent().into())),
            chain(&RoleError::Proc(Errno::EPERM)),
        ];
        assert_eq!(
            args,
            [
                "cannot write /x/log: No such file or directory (os error 2)",
                "cannot set the host name: EPERM: Operation not permitted",
                "cannot create the world's certificates: No such file or directory (os error 2)",
                "cannot mount /proc in the world: EPERM: Operation not permitted; inside a container, run it with an unmasked /proc",
            ]
        );
    }
}
