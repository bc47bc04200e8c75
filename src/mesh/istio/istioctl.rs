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
    #[error("istioctl {said} did not finish within {limit:?}")]
    Silent { said: String, limit: Duration },
    /// It failed, with its own message.
    #[error("istioctl {said}: {words}")]
    Failed { said: String, words: String },
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
    pub async fn ask(&self, words: &[&str], limit: Duration) -> Result<String, IstioctlError> {
        let mut command = Command::new(&self.program);
        command.args(words);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        let said = words.join(" ");
        let output = timeout(limit, command.kill_on_drop(true).output()).await;
        let Ok(output) = output else {
            return Err(IstioctlError::Silent { said, limit });
        };
        let output = output.map_err(|source| IstioctlError::Start {
            program: self.program.clone(),
            source,
        })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(IstioctlError::Failed { said, words });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
