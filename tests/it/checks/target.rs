//! A local target to look at from outside.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use super::program::{command, meshproof, output, said};

/// How long a target may take to come up or to go down on a busy machine.
const UP: Duration = Duration::from_secs(300);

/// A local target that is up.
pub struct Target {
    pub name: String,
    /// It was there before, and stays.
    lent: bool,
}

impl Target {
    /// The one that `CHECK_TARGET` names, else a new one.
    ///
    /// # Errors
    /// What the program says when it does not come up.
    pub async fn up(purpose: &str) -> Result<Self, String> {
        if let Ok(name) = std::env::var("CHECK_TARGET") {
            return Ok(Self { name, lent: true });
        }
        let target = Self {
            name: format!("check-{purpose}-{}", std::process::id()),
            lent: false,
        };
        let up = said(target.words(&["target", "up"], &[]), UP).await;
        match up.ok() {
            true => Ok(target),
            false => Err(format!("no target: {}", up.told())),
        }
    }

    /// meshproof with these words, the target's name, and more words.
    pub fn words(&self, before: &[&str], after: &[&str]) -> Command {
        let mut command = command(meshproof(), before);
        command.args(["--name", &self.name]).args(after);
        command
    }

    /// A command inside the target.
    pub fn inside(&self, words: &[&str]) -> Command {
        let mut command = self.words(&["target", "shell"], &["--"]);
        command.args(words);
        command
    }

    /// The kubeconfig for programs outside.
    ///
    /// # Errors
    /// When the program does not know the target.
    pub async fn kubeconfig(&self) -> Result<PathBuf, String> {
        let words = ["target", "status", "--target", "local", "--output", "json"];
        let text = output(self.words(&words, &[]), Duration::from_secs(30)).await?;
        let status: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let path = status[0]["kubeconfig"].as_str();
        path.map(PathBuf::from)
            .ok_or_else(|| format!("its status names no kubeconfig: {text}"))
    }

    /// Where istioctl is, which the target's shell has on PATH.
    ///
    /// # Errors
    /// When it has not.
    pub async fn istioctl(&self) -> Result<String, String> {
        let found = self.inside(&["sh", "-c", "command -v istioctl"]);
        let path = output(found, Duration::from_secs(30)).await?;
        Ok(path.trim().to_owned())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.lent {
            let down = ["target", "down", "--target", "local", "--name", &self.name];
            let output = std::process::Command::new("timeout")
                .arg(UP.as_secs().to_string())
                .arg(meshproof())
                .args(down)
                .output();
            match output {
                Ok(output) if output.status.success() => {}
                other => eprintln!("{} did not go down: {other:?}", self.name),
            }
        }
    }
}
