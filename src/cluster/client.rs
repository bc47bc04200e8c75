//! Creates a client of a cluster from a given kubeconfig, never from whatever the current context
//! happens to be.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use jiff::Timestamp;
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{ExecConfig, KubeConfigOptions, Kubeconfig},
};
use tokio::time::sleep;

pub use super::kubeconfig::Plugins;
use super::{
    bounds::{Bounds, Token},
    kubeconfig::{self, KubeconfigError},
    plugin::{self, Credential, PluginError},
};
use crate::{
    errors::{Classified, ErrorClass, chain},
    timeouts::timeouts,
};

/// How long before its token expires a plugin is run again.
const EARLY: Duration = Duration::from_secs(60);

/// An error creating a client. Nothing was sent to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The kubeconfig has no such context, or the context's entries are inconsistent.
    #[error(transparent)]
    Context(Box<kube::config::KubeconfigError>),
    /// Certificates, keys or a proxy that cannot be used for a connection.
    #[error(transparent)]
    Connection(Box<kube::Error>),
}

impl Classified for ClientError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Kubeconfig(error) => error.class(),
            Self::Plugin(error) => error.class(),
            Self::Context(_) => ErrorClass::Input,
            Self::Connection(error) => error.class(),
        }
    }
}

/// A client for a kubeconfig that meshproof created, with its current context or the named one.
///
/// # Errors
/// [`ClientError`]: the file does not exist, is not a kubeconfig, or has no such context.
pub async fn of(path: &Path, context: Option<&str>) -> Result<Client, ClientError> {
    let read = kubeconfig::read(&[path.to_owned()])?;
    with(read, context, Plugins::Refused).await
}

/// Like [`of`], from a parsed kubeconfig.
///
/// # Errors
/// As [`of`], and for credentials that cannot be used, or whose plugin must not be run.
pub async fn with(
    mut read: Kubeconfig,
    context: Option<&str>,
    plugins: Plugins,
) -> Result<Client, ClientError> {
    let exec = kubeconfig::credentials(&mut read, context, plugins)?;
    let token = match exec {
        Some(exec) => ask(&mut read, context, exec).await?,
        None => None,
    };
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(read, &options).await;
    let mut config = config.map_err(|error| ClientError::Context(Box::new(error)))?;
    config.connect_timeout = Some(timeouts().cluster.connect);
    let builder = ClientBuilder::try_from(config);
    let builder = builder.map_err(|error| ClientError::Connection(Box::new(error)))?;
    Ok(builder.with_layer(&Bounds::new(token)).build())
}

/// Runs the plugin. Its certificate goes into the configuration, and its token into requests. The
/// token is renewed before it expires.
async fn ask(
    read: &mut Kubeconfig,
    context: Option<&str>,
    exec: ExecConfig,
) -> Result<Option<Token>, PluginError> {
    let first = plugin::run(&exec).await?;
    if let (Some(certificate), Some(key)) = (&first.client_certificate_data, &first.client_key_data)
    {
        let named = context.or(read.current_context.as_deref());
        let found = read
            .contexts
            .iter()
            .find(|known| Some(known.name.as_str()) == named);
        let user = found.and_then(|known| known.context.as_ref()?.user.clone());
        let users = read.auth_infos.iter_mut();
        let mut infos = users.filter(|known| Some(&known.name) == user.as_ref());
        if let Some(info) = infos.next().and_then(|known| known.auth_info.as_mut()) {
            info.client_certificate_data = Some(base64(certificate));
            info.client_key_data = Some(base64(key).into());
        }
    }
    let Some(header) = header(&first) else {
        return Ok(None);
    };
    let token: Token = Arc::new(Mutex::new(header));
    if let Some(expires) = first.expiration_timestamp {
        tokio::spawn(renew(Arc::downgrade(&token), exec, expires));
    }
    Ok(Some(token))
}

/// Plugins write PEM, and kubeconfigs hold it in base64.
fn base64(pem: &str) -> String {
    use ::base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(pem)
}

fn header(credential: &Credential) -> Option<HeaderValue> {
    let mut header =
        HeaderValue::try_from(format!("Bearer {}", credential.token.as_ref()?)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Renews the token until no client uses it any more.
async fn renew(
    token: std::sync::Weak<Mutex<HeaderValue>>,
    exec: ExecConfig,
    mut expires: Timestamp,
) {
    loop {
        let left = expires.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        sleep(left.saturating_sub(EARLY).max(Duration::from_secs(5))).await;
        let Some(token) = token.upgrade() else {
            return;
        };
        match plugin::run(&exec).await {
            Ok(credential) => {
                if let Some(header) = header(&credential) {
                    *token.lock().unwrap_or_else(PoisonError::into_inner) = header;
                }
                match credential.expiration_timestamp {
                    Some(later) => expires = later,
                    None => return,
                }
            }
            Err(error) => tracing::warn!("{}", chain(&error)),
        }
    }
}
