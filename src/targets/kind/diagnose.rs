//! Why the nodes of a cluster did not come up, from their logs: kind itself reports only that its
//! wait timed out.

use super::{cause, error::KindError, program::ContainerTool};
use crate::{output::clean_line, timeouts::timeouts};

/// Source file named in the lines that kubeadm logs for each of its requests.
const TRACE: &str = "round_trippers.go";
/// Lines of each node that an error shows.
const SHOWN: usize = 6;
/// Log lines that contain one of these are shown.
const TELLING: &[&str] = &["error", "fail", "too many", "no space", "denied"];

/// Adds log lines of the nodes to kind's error, and replaces its cause if a node's log shows one.
/// The nodes must still exist.
pub(super) async fn explain(cluster: &str, error: KindError) -> KindError {
    let KindError::Failed {
        what,
        cause: of_kind,
        output,
    } = error
    else {
        return error;
    };
    let lines = output.lines().filter(|line| !line.contains(TRACE));
    let mut output = lines.collect::<Vec<_>>().join("\n");
    let mut found = None;
    for node in nodes(cluster).await {
        let log = log(&node).await;
        found = found.or_else(|| cause::of_node(&log));
        let telling: Vec<&str> = log.lines().filter(|line| tells(line)).collect();
        for line in &telling[telling.len().saturating_sub(SHOWN)..] {
            output.push_str(&format!("\n  {node}| {}", clean_line(line)));
        }
    }
    KindError::Failed {
        what,
        cause: found.map_or(of_kind, str::to_owned),
        output,
    }
}

async fn nodes(cluster: &str) -> Vec<String> {
    let label = format!("label=io.x-k8s.kind.cluster={cluster}");
    let args = ["ps", "-a", "--filter", &label, "--format", "{{.Names}}"];
    let listed = match ContainerTool::docker() {
        Ok(docker) => docker
            .run(&args, timeouts().target.kind_logs)
            .await
            .unwrap_or_default(),
        Err(_) => String::new(),
    };
    listed.lines().map(str::to_owned).collect()
}

/// systemd's console output, and the journal of the kubelet and the container runtime.
async fn log(node: &str) -> String {
    let Ok(docker) = ContainerTool::docker() else {
        return String::new();
    };
    let console = ["logs", "--tail", "40", node];
    let journal = [
        "exec",
        node,
        "journalctl",
        "--unit=containerd",
        "--unit=kubelet",
        "--lines=150",
        "--output=cat",
        "--no-pager",
    ];
    let console = docker
        .run(&console, timeouts().target.kind_logs)
        .await
        .unwrap_or_default();
    let journal = docker
        .run(&journal, timeouts().target.kind_logs)
        .await
        .unwrap_or_default();
    console + &journal
}

fn tells(line: &str) -> bool {
    let line = line.to_lowercase();
    TELLING.iter().any(|part| line.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_tell_are_shown() {
        assert!(tells(
            "Failed to create inotify object: Too many open files"
        ));
        assert!(!tells("INFO: starting init"));
    }
}
