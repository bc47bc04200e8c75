//! The mesh's own tool.

use std::{path::PathBuf, time::Duration};

use tokio::{process::Command, time::timeout};

/// An istioctl of the mesh's version, with its view of the cluster.
#[derive(Debug, Clone)]
pub struct Istioctl {
    pub program: PathBuf,
    /// `None`: the one that istioctl finds itself.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, when not its current one.
    pub context: Option<String>,
}

impl Istioctl {
    /// What it prints of `words`.
    ///
    /// # Errors
    /// In words: it does not start, has said nothing until the deadline, or fails.
    pub async fn ask(&self, words: &[&str], deadline: Duration) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.args(words);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        let said = words.join(" ");
        let output = timeout(deadline, command.kill_on_drop(true).output()).await;
        let output = output
            .map_err(|_| format!("istioctl {said} said nothing within {deadline:?}"))?
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("istioctl {said}: {}", error.trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
