//! Runs istioctl.

use std::{io, path::PathBuf, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::errors::{Classified, ErrorClass};

/// An istioctl of the mesh's version, with its access to the cluster.
#[derive(Debug, Clone)]
pub struct Istioctl {
    pub program: PathBuf,
    /// `None`: the kubeconfig that istioctl finds itself.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, if not its current one.
    pub context: Option<String>,
}

/// An error running istioctl.
#[derive(Debug, thiserror::Error)]
pub enum IstioctlError {
    #[error("cannot run {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("istioctl {args} did not finish within {limit:?}")]
    Silent { args: String, limit: Duration },
    /// It failed, with its own message.
    #[error("istioctl {args}: {message}")]
    Failed { args: String, message: String },
}

impl Classified for IstioctlError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Start { .. } => ErrorClass::Machine,
            Self::Silent { .. } | Self::Failed { .. } => ErrorClass::Mesh,
        }
    }
}

impl Istioctl {
    /// The output of istioctl with the arguments `words`.
    ///
    /// # Errors
    /// [`IstioctlError`]: it does not start, does not finish within `limit`, or fails.
    pub async fn ask(&self, args: &[&str], limit: Duration) -> Result<String, IstioctlError> {
        let mut command = Command::new(&self.program);
        command.args(args);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        let joined = args.join(" ");
        let output = timeout(limit, command.kill_on_drop(true).output()).await;
        let Ok(output) = output else {
            return Err(IstioctlError::Silent {
                args: joined,
                limit,
            });
        };
        let output = output.map_err(|source| IstioctlError::Start {
            program: self.program.clone(),
            source,
        })?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(IstioctlError::Failed {
                args: joined,
                message,
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
