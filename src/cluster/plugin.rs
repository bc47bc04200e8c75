//! Runs a kubeconfig's credential plugin (client.authentication.k8s.io) with a deadline and an
//! output limit, and ends it in any case.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use kube::config::ExecConfig;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    time::timeout,
};

use super::kubeconfig::{TokenError, check_token};
use crate::{
    errors::{Classified, ErrorClass},
    timeouts::timeouts,
};

/// Largest output.
const MOST: u64 = 1 << 20;

/// An error running a credential plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("cannot start the credential plugin {program}")]
    Start { program: String, source: io::Error },
    #[error("cannot read the output of the credential plugin {program}")]
    Listen { program: String, source: io::Error },
    #[error("the credential plugin {program} did not end within {limit:?}")]
    Slow { program: String, limit: Duration },
    #[error("the credential plugin {program} printed more than 1 MiB")]
    TooLong { program: String },
    #[error("the credential plugin {program} failed ({status}): {last}")]
    Failed {
        program: String,
        status: ExitStatus,
        /// The last line on its stderr.
        last: String,
    },
    #[error("the credential plugin {program} did not print an ExecCredential")]
    Answer {
        program: String,
        source: serde_json::Error,
    },
    #[error("the credential plugin {program} returned neither a token nor a certificate")]
    Nothing { program: String },
    #[error("the credential plugin {program} returned an unusable token: {token}")]
    Token { program: String, token: TokenError },
}

impl Classified for PluginError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Start { source, .. } if source.kind() != io::ErrorKind::NotFound => {
                ErrorClass::Machine
            }
            Self::Listen { .. } => ErrorClass::Machine,
            // The kubeconfig names it, and its author knows what it needs.
            _ => ErrorClass::Input,
        }
    }
}

/// The credentials that a plugin returns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    #[serde(default)]
    pub token: Option<String>,
    #[serde(default)]
    pub client_certificate_data: Option<String>,
    #[serde(default)]
    pub client_key_data: Option<String>,
    #[serde(default)]
    pub expiration_timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: Option<Credential>,
}

/// Kills the plugin and whatever it started when dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It has usually ended by itself.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs a plugin and reads its credentials.
///
/// # Errors
/// [`PluginError`]: it cannot be started, takes too long, prints too much, fails, or returns no
/// usable credentials.
pub async fn run(exec: &ExecConfig) -> Result<Credential, PluginError> {
    within(exec, timeouts().cluster.plugin).await
}

async fn within(exec: &ExecConfig, limit: Duration) -> Result<Credential, PluginError> {
    let program = exec.command.clone().unwrap_or_default();
    let mut child = match start(exec, &program) {
        Ok(child) => child,
        Err(source) => return Err(PluginError::Start { program, source }),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let _group = Group(group.map(Pid::from_raw));
    let output = match timeout(limit, listen(&mut child, &program)).await {
        Ok(output) => output?,
        Err(_) => return Err(PluginError::Slow { program, limit }),
    };
    let answer: Answer = match serde_json::from_slice(&output) {
        Ok(answer) => answer,
        Err(source) => return Err(PluginError::Answer { program, source }),
    };
    let status = answer.status.unwrap_or_default();
    match status.token.as_deref().map(check_token) {
        Some(Err(token)) => Err(PluginError::Token { program, token }),
        None if status.client_certificate_data.is_none() => Err(PluginError::Nothing { program }),
        Some(Ok(())) | None => Ok(status),
    }
}

fn start(exec: &ExecConfig, program: &str) -> std::io::Result<Child> {
    let version = exec
        .api_version
        .as_deref()
        .unwrap_or("client.authentication.k8s.io/v1");
    let info =
        json!({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": false}});
    let env = exec
        .env
        .iter()
        .flatten()
        .filter_map(|pair| Some((pair.get("name")?, pair.get("value")?)));
    let args = exec.args.iter().flatten();
    Command::new(program)
        .args(args)
        .envs(env)
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Its output, if it exits successfully.
async fn listen(child: &mut Child, program: &str) -> Result<Vec<u8>, PluginError> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::try_join!(bounded(out, program), bounded(err, program))?;
    let status = child.wait().await.map_err(|source| PluginError::Listen {
        program: program.to_owned(),
        source,
    })?;
    if status.success() {
        return Ok(out);
    }
    let answer = String::from_utf8_lossy(&err);
    let last: String = answer
        .trim()
        .lines()
        .last()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect();
    Err(PluginError::Failed {
        program: program.to_owned(),
        status,
        last,
    })
}

async fn bounded(
    from: Option<impl AsyncRead + Unpin>,
    program: &str,
) -> Result<Vec<u8>, PluginError> {
    let program = program.to_owned();
    let mut all = Vec::new();
    if let Some(from) = from
        && let Err(source) = from.take(MOST + 1).read_to_end(&mut all).await
    {
        return Err(PluginError::Listen { program, source });
    }
    match all.len() as u64 > MOST {
        true => Err(PluginError::TooLong { program }),
        false => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Instant};

    use super::*;
    use crate::{
        errors::chain,
        wait::{self, Look},
    };

    fn plugin(script: &str) -> ExecConfig {
        let value = json!({"command": "/bin/sh", "args": ["-c", script],
            "env": [{"name": "WORD", "value": "secret"}]});
        serde_json::from_value(value).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_taken_with_its_expiry() {
        let script = r#"echo "{\"status\":{\"token\":\"$WORD\",\"expirationTimestamp\":\"2026-01-01T00:00:00Z\"}}""#;
        let answer = run(&plugin(script)).await.unwrap();
        assert_eq!(answer.token.as_deref(), Some("secret"));
        assert!(answer.expiration_timestamp.is_some());
    }

    #[rstest::rstest]
    #[case::fails("echo no login >&2; exit 3", "failed (exit status: 3): no login")]
    #[case::says_nothing("true", "did not print an ExecCredential")]
    #[case::gives_nothing("echo '{}'", "neither a token nor a certificate")]
    #[case::prints_for_ever("cat /dev/zero", "printed more than 1 MiB")]
    #[case::bad_token(
        r#"printf '{"status":{"token":"a\\nb"}}'"#,
        "not allowed in an HTTP header"
    )]
    #[tokio::test]
    async fn what_goes_wrong_is_told(#[case] script: &str, #[case] message: &str) {
        let answer = chain(&run(&plugin(script)).await.unwrap_err());
        assert!(
            answer.starts_with("the credential plugin /bin/sh ") && answer.contains(message),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn one_that_hangs_ends_with_everything_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("pid");
        let script = format!("sleep 300 & echo $! >{}; wait", note.display());
        let start = Instant::now();
        let answer = within(&plugin(&script), Duration::from_millis(700))
            .await
            .unwrap_err()
            .to_string();
        assert!(answer.contains("did not end within 700ms"), "{answer}");
        assert!(start.elapsed() < Duration::from_secs(20));
        let pid = std::fs::read_to_string(note).unwrap();
        let path = format!("/proc/{}/stat", pid.trim());
        // A killed process is gone, or is a zombie until its parent waits for it.
        let ended = || std::fs::read_to_string(&path).map_or(true, |stat| stat.contains(") Z "));
        let gone = wait::until(Duration::from_secs(10), async |_| {
            Ok::<_, Infallible>(match ended() {
                true => Look::Met(()),
                false => Look::Unmet("a process that the plugin started still runs"),
            })
        });
        assert_eq!(gone.await, Ok(()));
    }
}
