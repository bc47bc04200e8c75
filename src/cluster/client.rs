//! A client of a cluster, by a kubeconfig that is named: never by what happens to be the current
//! context.

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

/// A plugin is run again so long before its token expires.
const EARLY: Duration = Duration::from_secs(60);

/// Why there is no client of a cluster. Nothing was sent to it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The kubeconfig has no such context, or what the context names does not fit together.
    #[error(transparent)]
    Context(Box<kube::config::KubeconfigError>),
    /// Certificates, keys or a proxy of which no connection can be made.
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

/// The cluster of a kubeconfig of our own, by its current context or the one that is named.
///
/// # Errors
/// [`ClientError`]: the file is not there, is none, or has no such context.
pub async fn of(path: &Path, context: Option<&str>) -> Result<Client, ClientError> {
    let read = kubeconfig::read(&[path.to_owned()])?;
    with(read, context, Plugins::Refused).await
}

/// As [`of`], from what was read.
///
/// # Errors
/// As [`of`]; and credentials that cannot be used, or must not be asked for.
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

/// Runs the plugin: its certificate goes into the configuration, its token into requests, and is
/// renewed before it expires.
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

/// Plugins write PEM, kubeconfigs base64 of it.
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

/// Replaces the token again and again, until no client uses it any more.
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
