//! `meshproof target status`: what is up, and the runs on it.

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    CommandError,
    reached::{ReachError, Reached},
};
use crate::{
    cli::TargetStatus,
    cluster::{
        pods,
        request::RequestError,
        runs::{self, Run, RunsError},
    },
    errors::chain,
    exit::Exit,
    mesh::istio::{discovery::ISTIOD, install::NAMESPACE},
    output::{self, Format, clean},
    targets::{kind::Record, local::world::launch::World},
    timeouts::timeouts,
};

/// An error querying a target.
#[derive(Debug, thiserror::Error)]
enum Unasked {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error(transparent)]
    Runs(#[from] RunsError),
    #[error(transparent)]
    Health(#[from] RequestError),
}

/// A target with the runs that its API server lists, or the reason why it lists none.
struct TargetReport {
    target: Reached,
    runs: Result<Vec<Run>, Unasked>,
    /// Problems of a target that meshproof manages.
    ailing: Vec<String>,
}

/// Shows every target that is up, or the one that the flags name.
///
/// # Errors
/// No target of that name is up, or stdout cannot be written to.
pub async fn run(args: &TargetStatus) -> Result<Exit, CommandError> {
    let which = &args.which;
    let targets = match (&which.name, &which.context, which.target) {
        (None, None, None) => Reached::all(),
        (None, None, Some(kind)) if kind != crate::targets::TargetKind::Cluster => {
            let mut all = Reached::all();
            all.retain(|target| target.kind() == kind);
            all
        }
        _ => vec![Reached::find(which)?],
    };
    let seen = join_all(targets.into_iter().map(|target| async {
        let limit = timeouts().cluster.status;
        let asked = timeout(limit, ask(&target)).await;
        let asked = asked.unwrap_or_else(|_| Err(RequestError::Silent(limit).into()));
        let (runs, ailing) = match asked {
            Ok((runs, ailing)) => (Ok(runs), ailing),
            Err(why) => (Err(why), vec!["its API server does not answer".to_owned()]),
        };
        TargetReport {
            target,
            runs,
            ailing,
        }
    }));
    let seen = seen.await;
    let text = match args.output {
        Format::Json => format!(
            "{}\n",
            Value::from_iter(seen.iter().map(TargetReport::json))
        ),
        Format::Text if seen.is_empty() => "no target is up\n".to_owned(),
        Format::Text => text(&seen),
    };
    output::data(&text).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

async fn ask(target: &Reached) -> Result<(Vec<Run>, Vec<String>), Unasked> {
    let client = target.client().await?;
    let runs = runs::find(&client).await?;
    let ailing = match target {
        Reached::Cluster { .. } => Vec::new(),
        Reached::Local(_) | Reached::Kind(_) => ailing(&client).await?,
    };
    Ok((runs, ailing))
}

/// Nodes and istiod, if they are not ready.
async fn ailing(client: &Client) -> Result<Vec<String>, RequestError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let nodes = nodes.list(&ListParams::default()).await?;
    let istiod: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let istiod = istiod.list(&ListParams::default().labels(ISTIOD)).await?;
    let down = nodes.iter().filter(|node| !is_ready(node));
    let mut ailing: Vec<String> = down
        .map(|node| format!("node {} is not ready", node.name_any()))
        .collect();
    if !istiod.iter().any(pods::is_ready) {
        ailing.push("istiod is not ready".to_owned());
    }
    Ok(ailing)
}

fn is_ready(node: &Node) -> bool {
    let status = node.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

impl TargetReport {
    fn json(&self) -> Value {
        let mut object = match &self.target {
            Reached::Local(world) => json!({
                "target": "local", "name": world.spec.name, "kept": world.spec.kept, "kubeconfig": world.spec.kubeconfig(),
                "pid": world.init_pid().map(nix::unistd::Pid::as_raw), "envoy": world.spec.envoy_version}),
            Reached::Kind(record) => json!({
                "target": "kind", "name": record.name, "kept": record.kept, "kubeconfig": record.kubeconfig(),
                "made": record.made, "state": cluster_state(record), "profile": record.profile}),
            Reached::Cluster { context, .. } => json!({"target": "cluster", "name": context}),
        };
        object["ailing"] = self.ailing.clone().into();
        match &self.runs {
            Ok(runs) => object["runs"] = runs.iter().map(run_json).collect(),
            Err(why) => object["error"] = chain(why).into(),
        }
        object
    }

    /// Cells of its row.
    fn row(&self) -> [String; 5] {
        let runs = match &self.runs {
            Ok(runs) => runs.len().to_string(),
            Err(_) => "?".to_owned(),
        };
        let name = clean(self.target.name()).into_owned();
        let kind = self.target.kind().name().to_owned();
        let (state, config) = match &self.target {
            Reached::Local(world) => (
                world_state(world),
                world.spec.kubeconfig().display().to_string(),
            ),
            Reached::Kind(record) => (
                cluster_state(record).to_owned(),
                record.kubeconfig().display().to_string(),
            ),
            Reached::Cluster { .. } => ("existing".to_owned(), "-".to_owned()),
        };
        let state = std::iter::once(state).chain(self.ailing.iter().cloned());
        [
            name,
            kind,
            runs,
            config,
            state.collect::<Vec<_>>().join("; "),
        ]
    }
}

fn run_json(run: &Run) -> Value {
    json!({"id": run.id, "state": run.state.as_str(), "age_seconds": run.age.as_secs(), "namespaces": run.describe()})
}

fn world_state(world: &World) -> String {
    let kept = if world.spec.kept {
        "kept"
    } else {
        "used by a run"
    };
    format!("{kept}, envoy {}", world.spec.envoy_version)
}

/// The state of a cluster, without asking the container engine.
fn cluster_state(record: &Record) -> &'static str {
    match (
        record.made,
        record.is_owned(),
        record.kept && record.profile.is_some(),
    ) {
        (false, ..) => "existing, in use",
        (true, _, true) => "kept",
        (true, true, false) => "used by a run",
        (true, false, false) => {
            "left over from a dead run (remove it with `meshproof target down`)"
        }
    }
}

/// The targets in one table, then their runs in another, then the errors of targets that could not
/// be queried.
fn text(seen: &[TargetReport]) -> String {
    let head = ["NAME", "TARGET", "RUNS", "KUBECONFIG", "STATE"].map(str::to_owned);
    let rows: Vec<[String; 5]> = seen.iter().map(TargetReport::row).collect();
    let mut text = table(&head, &rows);
    let mut runs = Vec::new();
    for one in seen {
        for run in one.runs.iter().flatten() {
            runs.push([
                clean(&run.id).into_owned(),
                clean(one.target.name()).into_owned(),
                runs::age_words(run.age),
                run.state.as_str().to_owned(),
                clean(&run.describe().join(", ")).into_owned(),
            ]);
        }
    }
    if !runs.is_empty() {
        let head = ["RUN", "ON", "AGE", "STATE", "NAMESPACES"].map(str::to_owned);
        text = format!("{text}\n{}", table(&head, &runs));
    }
    for one in seen {
        if let Err(why) = &one.runs {
            text = format!("{text}\n{}: {}\n", one.target.name(), clean(&chain(why)));
        }
    }
    text
}

/// Columns are separated by two spaces; the last one is not padded.
fn table(head: &[String; 5], rows: &[[String; 5]]) -> String {
    let all = || std::iter::once(head).chain(rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max();
    let line = |row: &[String; 5]| {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            4 => cell.clone(),
            _ => format!("{cell:<width$}  ", width = width(column).unwrap_or(0)),
        });
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_under_their_heads() {
        let head = ["NAME", "TARGET", "RUNS", "KUBECONFIG", "STATE"].map(str::to_owned);
        let rows = [["default", "local", "1", "/run/k", "kept, envoy 1.39.3"].map(str::to_owned)];
        let text = table(&head, &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "NAME     TARGET  RUNS  KUBECONFIG  STATE",
                "default  local   1     /run/k      kept, envoy 1.39.3"
            ]
        );
    }
}
