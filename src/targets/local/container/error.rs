//! Errors starting a container or a program in it. The node receives them as text.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::errno::Errno;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContainerError {
    /// `step` follows "cannot".
    #[error("cannot {step}")]
    Io { step: String, source: io::Error },
    #[error("cannot {step}")]
    Kernel { step: String, source: Errno },
    #[error("cannot create {} in the container", .path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("container is no longer running: {seen}")]
    Gone { seen: String, source: io::Error },
    /// The description file that `__enter` reads is invalid.
    #[error("{file}")]
    Description {
        file: String,
        source: serde_json::Error,
    },
    #[error("__enter: expected a container description file and a command")]
    Arguments,
}

impl ContainerError {
    pub(super) fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let step = step.into();
        move |source| Self::Io { step, source }
    }

    pub(super) fn kernel(step: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let step = step.into();
        move |source| Self::Kernel { step, source }
    }

    /// An error creating `path` in the container's root.
    pub(super) fn make(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Make { path, source }
    }

    pub(super) fn gone(seen: String) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Gone { seen, source }
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
            chain(&ContainerError::make(Path::new("/etc/x"))(absent())),
            chain(&ContainerError::gone("/proc/7/ns/mnt".to_owned())(absent())),
            chain(&ContainerError::kernel("make the mounts private")(
                Errno::EPERM,
            )),
        ];
        assert_eq!(
            args,
            [
                "cannot create /etc/x in the container: No such file or directory (os error 2)",
                "container is no longer running: /proc/7/ns/mnt: No such file or directory (os error 2)",
                "cannot make the mounts private: EPERM: Operation not permitted",
            ]
        );
    }
}
