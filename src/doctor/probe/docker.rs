//! Queries Docker's client and its engine.

use std::{collections::BTreeSet, path::Path};

use serde::Deserialize;

use super::{
    machine::user,
    program::{ask, asked, on_path},
    room::room,
};
use crate::doctor::{
    answer::NoAnswer,
    docker::{DockerFacts, Engine},
};

/// kind's label on the containers of a cluster; its value is the cluster's name.
const CLUSTER: &str = "io.x-k8s.io/kind.cluster";

pub(super) async fn docker() -> DockerFacts {
    let client = asked(on_path("docker"), &["--version"]).await;
    let (engine, clusters) = match &client.path {
        Some(path) => (engine(path).await, clusters(path).await),
        None => {
            let why = "no docker client to query it with".to_owned();
            (Err(NoAnswer::Unasked(why)), Vec::new())
        }
    };
    DockerFacts {
        client,
        daemon: on_path("dockerd"),
        host: std::env::var("DOCKER_HOST")
            .ok()
            .filter(|host| !host.is_empty()),
        user: user(),
        engine,
        clusters,
    }
}

/// Runs `docker version` first: without an engine, `docker info` hides the cause behind another
/// error.
async fn engine(docker: &Path) -> Result<Engine, NoAnswer> {
    ask(docker, &["version", "--format", "{{.Server.Version}}"]).await?;
    let info = ask(docker, &["info", "--format", "{{json .}}"]).await?;
    let endpoint = [
        "context",
        "inspect",
        "--format",
        "{{.Endpoints.docker.Host}}",
    ];
    let endpoint = ask(docker, &endpoint).await.unwrap_or_default();
    parsed(&info, &endpoint)
}

/// The part of `docker info` that is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    server_version: String,
    #[serde(default)]
    cgroup_version: String,
    #[serde(default)]
    docker_root_dir: String,
    #[serde(default)]
    default_runtime: String,
    #[serde(default)]
    security_options: Option<Vec<String>>,
}

fn parsed(info: &str, endpoint: &str) -> Result<Engine, NoAnswer> {
    let info: Info = serde_json::from_str(info).map_err(|error| NoAnswer::Unreadable {
        question: "docker info",
        why: error.to_string(),
    })?;
    let options = info.security_options.unwrap_or_default();
    let here = endpoint.trim().is_empty() || endpoint.trim().starts_with("unix:");
    let root = Path::new(&info.docker_root_dir);
    Ok(Engine {
        version: info.server_version,
        // Engines before version 20.10 do not report a version and only support version 1.
        cgroups: match info.cgroup_version.as_str() {
            "" => "1".to_owned(),
            reported => reported.to_owned(),
        },
        rootless: options.iter().any(|option| option.contains("rootless")),
        default_runtime: info.default_runtime,
        root: (here && root.is_dir()).then(|| room(root)),
        here,
    })
}

async fn clusters(docker: &Path) -> Vec<String> {
    let filter = format!("label={CLUSTER}");
    let format = format!("{{{{.Label \"{CLUSTER}\"}}}}");
    let args = ["ps", "--all", "--filter", &filter, "--format", &format];
    let answer = ask(docker, &args).await.unwrap_or_default();
    let names: BTreeSet<&str> = answer.lines().map(str::trim).collect();
    names
        .into_iter()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = r#"{"ID":"x","ServerVersion":"28.2.2","CgroupVersion":"2","DockerRootDir":"/does/not/exist",
        "DefaultRuntime":"runc","SecurityOptions":["name=seccomp,profile=builtin","name=rootless"]}"#;

    #[test]
    fn an_engine_is_read_from_its_own_words() {
        let engine = parsed(INFO, "unix:///var/run/docker.sock\n").unwrap();
        assert_eq!(
            (engine.version.as_str(), engine.cgroups.as_str()),
            ("28.2.2", "2")
        );
        assert!(engine.rootless && engine.here && engine.root.is_none());
        assert!(!parsed(INFO, "tcp://192.0.2.1:2375").unwrap().here);
    }

    #[test]
    fn an_old_engine_has_cgroups_of_version_1() {
        let engine = parsed(r#"{"ServerVersion":"19.03","SecurityOptions":null}"#, "").unwrap();
        assert_eq!(engine.cgroups, "1");
    }

    #[test]
    fn words_that_are_no_answer_are_an_error() {
        assert!(parsed("hello", "").is_err_and(|why| why.to_string().contains("docker info")));
    }
}
