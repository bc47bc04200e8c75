//! A local target for checks from outside.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::process::Command;

use super::program::{answer, command, meshproof, output};

/// How long a target may take to come up or go down on a busy machine.
const UP: Duration = Duration::from_secs(300);

/// A local target that is up.
pub struct Target {
    pub name: String,
    /// Whether it existed before, and stays.
    lent: bool,
}

impl Target {
    /// Returns the target named by `CHECK_TARGET`, or brings up a new one.
    ///
    /// # Errors
    /// The output of the program when the target does not come up.
    pub async fn up(purpose: &str) -> Result<Self, String> {
        if let Ok(name) = std::env::var("CHECK_TARGET") {
            return Ok(Self { name, lent: true });
        }
        let target = Self {
            name: format!("check-{purpose}-{}", std::process::id()),
            lent: false,
        };
        let up = answer(target.command(&["target", "up"], &[]), UP).await;
        match up.ok() {
            true => Ok(target),
            false => Err(format!("the target did not come up: {}", up.reported())),
        }
    }

    /// A meshproof command: these arguments, the target's name, and more arguments.
    pub fn command(&self, before: &[&str], after: &[&str]) -> Command {
        let mut command = command(meshproof(), before);
        command.args(["--name", &self.name]).args(after);
        command
    }

    /// A command that runs inside the target.
    pub fn inside(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["target", "shell"], &["--"]);
        command.args(args);
        command
    }

    /// The kubeconfig for programs outside the target.
    ///
    /// # Errors
    /// The program does not know the target.
    pub async fn kubeconfig(&self) -> Result<PathBuf, String> {
        let args = ["target", "status", "--target", "local", "--output", "json"];
        let text = output(self.command(&args, &[]), Duration::from_secs(30)).await?;
        let status: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let path = status[0]["kubeconfig"].as_str();
        path.map(PathBuf::from)
            .ok_or_else(|| format!("the target's status names no kubeconfig: {text}"))
    }

    /// The path of istioctl, which the target's shell has in PATH.
    ///
    /// # Errors
    /// The shell does not have it.
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
