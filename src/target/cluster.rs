//! Somebody's cluster, used as it is: own namespaces only, and nothing that stays.

use std::{collections::BTreeSet, path::PathBuf};

use kube::config::Kubeconfig;

use super::{Dial, Ready};
use crate::{
    cluster::client, fixture::fitting::Fitting, mesh::istio::versions, run::telemetry::Istioctl,
};

/// Why the cluster is not used.
#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    #[error("the kubeconfig cannot be read: {0}; $KUBECONFIG names it, else ~/.kube/config")]
    Kubeconfig(Box<kube::config::KubeconfigError>),
    #[error("--context {asked}: the kubeconfig has no such context; it has {known}")]
    Context { asked: String, known: String },
    #[error("--context {context}: {words}")]
    Client { context: String, words: String },
    #[error("the cluster of --context {context} cannot be used: {words}")]
    Mesh { context: String, words: String },
}

/// What is said of a cluster that is not ours.
#[derive(Debug, Clone)]
pub struct ExistingOptions {
    pub context: String,
    /// Name under which the cluster can pull the test bed's image.
    pub testbed: Option<String>,
    pub istioctl: Option<PathBuf>,
}

/// An existing cluster with Istio.
pub struct Existing {
    ready: Ready,
    server: String,
    context: String,
}

impl Existing {
    /// Reads what is there; writes nothing.
    ///
    /// # Errors
    /// [`ExistingError`].
    pub async fn attach(options: &ExistingOptions) -> Result<Self, ExistingError> {
        let read = Kubeconfig::read();
        let read = read.map_err(|error| ExistingError::Kubeconfig(Box::new(error)))?;
        Self::attach_by(read, options).await
    }

    async fn attach_by(read: Kubeconfig, options: &ExistingOptions) -> Result<Self, ExistingError> {
        let context = options.context.clone();
        let server = server(&read, &context)?;
        let client = client::with(read, Some(&context)).await;
        let client = client.map_err(|words| ExistingError::Client {
            context: context.clone(),
            words,
        })?;
        let dial = Dial::api_server(client.clone());
        let versions = versions::of(&client, &dial).await;
        let versions = versions.map_err(|words| ExistingError::Mesh {
            context: context.clone(),
            words,
        })?;
        Ok(Self {
            ready: Ready {
                client,
                dial,
                istioctl: options.istioctl.clone().map(|program| Istioctl {
                    program,
                    kubeconfig: None,
                    context: Some(context.clone()),
                }),
                versions,
                programs: BTreeSet::new(),
                own_mesh: false,
                secrets: Vec::new(),
                fitting: Fitting {
                    testbed: options.testbed.clone(),
                    apart: false,
                },
            },
            server,
            context,
        })
    }

    /// What a run needs of it.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// What will be done, in words: said before the first write.
    pub fn plan(&self, jobs: usize) -> String {
        let versions = self.ready.versions.iter();
        let versions: Vec<String> = versions
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let image = self.ready.fitting.testbed.as_deref();
        format!(
            "cluster   {} (context {})\n\
             has       {}\n\
             writes    namespaces mp-… labelled meshproof.dev/run, at most {} at a time, and objects inside them; nothing elsewhere\n\
             image     {}\n\
             removes   these namespaces, when each verdict is known\n",
            self.server,
            self.context,
            versions.join(", "),
            jobs + 1,
            image.unwrap_or(
                "local/testbed:dev (must be on the nodes; another name with --testbed-image)"
            ),
        )
    }
}

/// The address of a context's cluster.
fn server(read: &Kubeconfig, context: &str) -> Result<String, ExistingError> {
    let named = read.contexts.iter().find(|known| known.name == context);
    let Some(named) = named else {
        let known: Vec<&str> = read
            .contexts
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        return Err(ExistingError::Context {
            asked: context.to_owned(),
            known: match known.is_empty() {
                true => "none at all".to_owned(),
                false => known.join(", "),
            },
        });
    };
    let cluster = named.context.as_ref().map(|context| &context.cluster);
    let cluster = read
        .clusters
        .iter()
        .find(|known| Some(&known.name) == cluster);
    let server = cluster.and_then(|named| named.cluster.as_ref()?.server.clone());
    Ok(server.unwrap_or_else(|| "no address".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "
contexts:
- {name: a, context: {cluster: one, user: u}}
- {name: b, context: {cluster: two, user: u}}
clusters:
- {name: one, cluster: {server: https://127.0.0.1:1}}
- {name: two, cluster: {server: https://127.0.0.1:2}}
current-context: a
";

    #[test]
    fn the_named_context_decides_and_not_the_current_one() {
        let read = Kubeconfig::from_yaml(TWO).unwrap();
        assert_eq!(server(&read, "b").unwrap(), "https://127.0.0.1:2");
    }

    #[test]
    fn an_unknown_context_is_refused_with_those_that_there_are() {
        let read = Kubeconfig::from_yaml(TWO).unwrap();
        let error = server(&read, "prod").unwrap_err().to_string();
        assert!(error.contains("prod") && error.ends_with("a, b"), "{error}");
        let empty = server(&Kubeconfig::default(), "prod")
            .unwrap_err()
            .to_string();
        assert!(empty.ends_with("none at all"), "{empty}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_named() {
        let read = Kubeconfig::from_yaml(TWO).unwrap();
        let options = ExistingOptions {
            context: "a".into(),
            testbed: None,
            istioctl: None,
        };
        let error = Existing::attach_by(read, &options)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("--context a"), "{error}");
    }
}
