//! Reads the user's kubeconfig, and queries the API server of the named context.

use std::{path::PathBuf, time::Duration};

use super::machine::machine;
use crate::{
    cluster::{
        client::Plugins,
        kubeconfig::{self, KubeconfigError},
    },
    doctor::{
        answer::NoAnswer,
        cluster::{ClusterFacts, Contexts},
    },
    errors::chain,
    targets::cluster as target,
};

/// Timeout of the API server's answer.
const ANSWER: Duration = Duration::from_secs(20);

pub async fn cluster(context: Option<String>, plugins: Plugins) -> ClusterFacts {
    let files: Vec<(PathBuf, bool)> = kubeconfig::files()
        .into_iter()
        .map(|path| {
            let there = path.exists();
            (path, there)
        })
        .collect();
    let config = contexts(&files);
    let named = context.as_deref().filter(|name| {
        config
            .as_ref()
            .is_ok_and(|known| known.names.iter().any(|one| one == name))
    });
    let server = match named {
        Some(context) => Some(server(context, plugins).await),
        None => None,
    };
    ClusterFacts {
        machine: machine(),
        config: config.map_err(|error| chain(&error)),
        files,
        context,
        server,
    }
}

/// Queries the API server of a context for its version, as a run would: with the same address,
/// credentials and trust.
async fn server(context: &str, plugins: Plugins) -> Result<String, NoAnswer> {
    let asking = async {
        let client = target::client(context, plugins).await;
        let (client, server) = client.map_err(|error| NoAnswer::Unasked(chain(&error)))?;
        let version = client.apiserver_version().await;
        let version =
            version.map_err(|error| NoAnswer::Refused(format!("{server}: {}", chain(&error))))?;
        Ok(format!("{server}, Kubernetes {}", version.git_version))
    };
    let answer = tokio::time::timeout(ANSWER, asking).await;
    answer.unwrap_or(Err(NoAnswer::Silent(ANSWER)))
}

fn contexts(files: &[(PathBuf, bool)]) -> Result<Contexts, KubeconfigError> {
    let there: Vec<PathBuf> = files
        .iter()
        .filter(|(_, there)| *there)
        .map(|(path, _)| path.clone())
        .collect();
    if there.is_empty() {
        return Ok(Contexts::default());
    }
    let all = kubeconfig::read(&there)?;
    Ok(Contexts {
        names: all.contexts.into_iter().map(|named| named.name).collect(),
        current: all.current_context.filter(|name| !name.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn files_are_read_together() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            (path, true)
        };
        let config = |name: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: {name}\ncontexts:\n- name: {name}\n  context: {{cluster: x, user: y}}\n"
            )
        };
        let mut files = vec![file("a", &config("one")), file("b", &config("two"))];
        files.push((dir.path().join("absent"), false));
        let contexts = super::contexts(&files).unwrap();
        assert_eq!(contexts.names, ["one", "two"]);
        assert_eq!(contexts.current.as_deref(), Some("one"));
        let message = super::contexts(&[file("c", "contexts: [")]).unwrap_err();
        let message = super::chain(&message);
        assert!(message.contains("/c: "), "{message}");
    }
}
