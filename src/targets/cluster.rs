//! An existing cluster, used as it is: runs write only to their own namespaces and leave nothing
//! behind.

use std::{collections::BTreeSet, path::PathBuf};

use kube::{Client, config::Kubeconfig};

use super::access::TargetAccess;
use crate::{
    cluster::{
        client::{self, ClientError, Plugins},
        kubeconfig::{self, KubeconfigError},
    },
    errors::{Classified, ErrorClass, chain},
    fixture::overrides::WorkloadOverrides,
    mesh::istio::{
        istioctl::Istioctl,
        versions::{self, VersionsError},
    },
    transport::PodDialer,
};

/// An error attaching to an existing cluster.
#[derive(Debug, thiserror::Error)]
pub enum ExistingError {
    #[error(
        "cannot read the kubeconfig: {}; set $KUBECONFIG to use another than ~/.kube/config", chain(.0)
    )]
    Kubeconfig(#[source] KubeconfigError),
    #[error("--context {asked}: no such context in the kubeconfig; available: {known}")]
    Context { asked: String, known: String },
    #[error("--context {context}")]
    Client {
        context: String,
        source: ClientError,
    },
    #[error("cannot use the cluster of --context {context}")]
    Mesh {
        context: String,
        source: VersionsError,
    },
}

impl Classified for ExistingError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Kubeconfig(error) => error.class(),
            Self::Context { .. } => ErrorClass::Input,
            Self::Client { source, .. } => source.class(),
            Self::Mesh { source, .. } => source.class(),
        }
    }
}

/// Options for a cluster that meshproof did not create.
#[derive(Debug, Clone)]
pub struct ExistingOptions {
    pub context: String,
    /// Whether the kubeconfig's credential plugins may be run.
    pub plugins: Plugins,
    /// Image reference from which the cluster can pull the test bed.
    pub testbed: Option<String>,
    pub istioctl: Option<PathBuf>,
}

/// An existing cluster with Istio.
pub struct Existing {
    ready: TargetAccess,
    server: String,
    context: String,
}

impl Existing {
    /// Connects and detects the mesh. Read-only.
    ///
    /// # Errors
    /// [`ExistingError`].
    pub async fn attach(options: &ExistingOptions) -> Result<Self, ExistingError> {
        let (client, server) = client(&options.context, options.plugins).await?;
        Self::over(client, server, options).await
    }

    async fn over(
        client: Client,
        server: String,
        options: &ExistingOptions,
    ) -> Result<Self, ExistingError> {
        let context = options.context.clone();
        let dial = PodDialer::api_server(client.clone());
        let versions = versions::of(&client, &dial).await;
        let versions = versions.map_err(|source| ExistingError::Mesh {
            context: context.clone(),
            source,
        })?;
        Ok(Self {
            ready: TargetAccess {
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
                state: None,
                overrides: WorkloadOverrides {
                    testbed: options.testbed.clone(),
                    apart: false,
                },
            },
            server,
            context,
        })
    }

    /// What a run needs from the cluster.
    pub fn access(&self) -> TargetAccess {
        self.ready.clone()
    }

    /// Describes what the run will do. Printed before the first write.
    pub fn plan(&self, run: &str, jobs: usize, keep_failed: bool) -> String {
        let versions = self.ready.versions.iter();
        let versions: Vec<String> = versions
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let image = self.ready.overrides.testbed.as_deref();
        format!(
            "cluster   {} (context {})\n\
             versions  {}\n\
             writes    namespaces mp-… labelled meshproof.dev/run={run}, and objects inside them; nothing elsewhere\n\
             parallel  {} scenarios, each in its own namespaces while it runs, plus one namespace for the run\n\
             image     {}\n\
             removes   {}; also what killed meshproof runs left in this cluster\n",
            self.server,
            self.context,
            versions.join(", "),
            jobs,
            image.unwrap_or(
                "local/testbed:dev (must be present on the nodes; --testbed-image sets another)"
            ),
            match keep_failed {
                true =>
                    "these namespaces, once each verdict is known; those of scenarios that did not pass are kept (--keep)",
                false =>
                    "these namespaces, once each verdict is known, and waits until they are gone",
            },
        )
    }
}

/// A client for the cluster of a context in the user's kubeconfig, and the cluster's address.
///
/// # Errors
/// [`ExistingError`]: the kubeconfig cannot be read, has no such context, or its credentials cannot
/// be used. No request is sent.
pub async fn client(context: &str, plugins: Plugins) -> Result<(Client, String), ExistingError> {
    let read = kubeconfig::read(&kubeconfig::files()).map_err(ExistingError::Kubeconfig)?;
    by(read, context, plugins).await
}

async fn by(
    read: Kubeconfig,
    context: &str,
    plugins: Plugins,
) -> Result<(Client, String), ExistingError> {
    let server = server(&read, context)?;
    let client = client::with(read, Some(context), plugins).await;
    let client = client.map_err(|source| ExistingError::Client {
        context: context.to_owned(),
        source,
    })?;
    Ok((client, server))
}

/// Checks that the kubeconfig has this context.
///
/// # Errors
/// [`ExistingError`]. Only the kubeconfig is read.
pub fn check(context: &str) -> Result<(), ExistingError> {
    let read = kubeconfig::read(&kubeconfig::files()).map_err(ExistingError::Kubeconfig)?;
    server(&read, context).map(drop)
}

/// The API server's address in a context.
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
                true => "none".to_owned(),
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
    Ok(server.unwrap_or_else(|| "unknown address".to_owned()))
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
        assert!(empty.ends_with("available: none"), "{empty}");
    }

    #[tokio::test]
    async fn why_a_server_does_not_answer_is_told() {
        let read = Kubeconfig::from_yaml(TWO).unwrap();
        let (client, server) = by(read, "a", Plugins::Refused).await.unwrap();
        let options = ExistingOptions {
            context: "a".into(),
            plugins: Plugins::Refused,
            testbed: None,
            istioctl: None,
        };
        let error = Existing::over(client, server, &options).await;
        let error = chain(&error.err().unwrap());
        assert!(
            error.contains("--context a") && error.contains("Connection refused"),
            "{error}"
        );
    }
}
