//! A kubeconfig's credential plugin (client.authentication.k8s.io), run with a deadline, a bound on what it prints, and to its end.

use std::{process::Stdio, time::Duration};

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

use super::kubeconfig::check_token;

/// How long a plugin may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most that it may print.
const MOST: u64 = 1 << 20;

/// What a plugin answers.
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

/// Ends the plugin and whatever it started, however it is left.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It has mostly ended by itself.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs a plugin and reads its answer.
///
/// # Errors
/// In words: it cannot be started, takes too long, prints too much, fails, or says nothing of use.
pub async fn run(exec: &ExecConfig) -> Result<Credential, String> {
    within(exec, DEADLINE).await
}

async fn within(exec: &ExecConfig, limit: Duration) -> Result<Credential, String> {
    let program = exec.command.clone().unwrap_or_default();
    let about = |words: String| format!("the credential plugin {program} {words}");
    let mut child =
        start(exec, &program).map_err(|error| about(format!("cannot be started: {error}")))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let _group = Group(group.map(Pid::from_raw));
    let said = match timeout(limit, listen(&mut child)).await {
        Ok(said) => said.map_err(about)?,
        Err(_) => return Err(about(format!("did not end within {limit:?}"))),
    };
    let answer: Answer = serde_json::from_slice(&said)
        .map_err(|error| about(format!("did not answer with an ExecCredential: {error}")))?;
    let status = answer.status.unwrap_or_default();
    match &status.token {
        Some(token) => check_token(token).map_err(about)?,
        None if status.client_certificate_data.is_some() => {}
        None => return Err(about("gave neither a token nor a certificate".to_owned())),
    }
    Ok(status)
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

/// What it prints until it ends well.
async fn listen(child: &mut Child) -> Result<Vec<u8>, String> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::try_join!(bounded(out), bounded(err))?;
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(out);
    }
    let said = String::from_utf8_lossy(&err);
    let last: String = said
        .trim()
        .lines()
        .last()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect();
    Err(format!("failed ({status}): {last}"))
}

async fn bounded(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    if let Some(from) = from {
        let read = from.take(MOST + 1).read_to_end(&mut all).await;
        read.map_err(|error| error.to_string())?;
    }
    match all.len() as u64 > MOST {
        true => Err("printed more than 1 MiB".to_owned()),
        false => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn plugin(script: &str) -> ExecConfig {
        let value = json!({"command": "/bin/sh", "args": ["-c", script],
            "env": [{"name": "WORD", "value": "secret"}]});
        serde_json::from_value(value).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_taken_with_its_expiry() {
        let script = r#"echo "{\"status\":{\"token\":\"$WORD\",\"expirationTimestamp\":\"2026-01-01T00:00:00Z\"}}""#;
        let said = run(&plugin(script)).await.unwrap();
        assert_eq!(said.token.as_deref(), Some("secret"));
        assert!(said.expiration_timestamp.is_some());
    }

    #[rstest::rstest]
    #[case::fails("echo no login >&2; exit 3", "failed (exit status: 3): no login")]
    #[case::says_nothing("true", "did not answer with an ExecCredential")]
    #[case::gives_nothing("echo '{}'", "neither a token nor a certificate")]
    #[case::prints_for_ever("cat /dev/zero", "printed more than 1 MiB")]
    #[case::bad_token(r#"printf '{"status":{"token":"a\\nb"}}'"#, "no header can carry")]
    #[tokio::test]
    async fn what_goes_wrong_is_told(#[case] script: &str, #[case] words: &str) {
        let said = run(&plugin(script)).await.unwrap_err();
        assert!(
            said.starts_with("the credential plugin /bin/sh ") && said.contains(words),
            "{said}"
        );
    }

    #[tokio::test]
    async fn one_that_hangs_ends_with_everything_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("pid");
        let script = format!("sleep 300 & echo $! >{}; wait", note.display());
        let start = Instant::now();
        let said = within(&plugin(&script), Duration::from_millis(700))
            .await
            .unwrap_err();
        assert!(said.contains("did not end within 700ms"), "{said}");
        assert!(start.elapsed() < Duration::from_secs(20));
        let pid = std::fs::read_to_string(note).unwrap();
        let path = format!("/proc/{}/stat", pid.trim());
        let deadline = Instant::now() + Duration::from_secs(10);
        // A killed process is gone, or waits for its parent as a zombie.
        let ended = || std::fs::read_to_string(&path).map_or(true, |stat| stat.contains(") Z "));
        while !ended() {
            assert!(
                Instant::now() < deadline,
                "what the plugin started is still there"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
