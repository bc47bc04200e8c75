//! What a pod needs before its first container: a sandbox, the contents of its volumes, its
//! tokens.

use std::{fs, io, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount},
};
use kube::{Api, api::PostParams};
use tokio::sync::mpsc;

use super::{
    atomic,
    config::Shared,
    message::Message,
    rootfs::{self, Dns},
    sandbox::{self, Sandbox},
    source::{self, SourceKey},
    volumes::{self, Content, TokenKey, VolumeContext, VolumeError},
};

/// Delay before a failed request to the API server is repeated.
const RETRY: Duration = Duration::from_millis(500);

/// Creates the pod's sandbox.
pub(super) async fn make_sandbox(shared: &Shared, pod: &Pod) -> io::Result<Sandbox> {
    if pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
        return sandbox::host_network(shared.cfg.node_ip).await;
    }
    let ip = shared
        .ipam
        .take()
        .ok_or_else(|| io::Error::other("no free address in the pod network"))?;
    let made = sandbox::create(
        &shared.netlink,
        shared.cfg.node_ip,
        ip,
        rootfs::hostname(pod),
        sysctls(pod),
    )
    .await;
    if made.is_err() {
        shared.ipam.release(ip);
    }
    made
}

/// `spec.securityContext.sysctls`; which of them are allowed is checked before.
fn sysctls(pod: &Pod) -> Vec<(String, String)> {
    let security = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.security_context.as_ref());
    let given = security.and_then(|security| security.sysctls.as_ref());
    given
        .into_iter()
        .flatten()
        .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
        .collect()
}

/// Removes the sandbox; processes in it must have ended.
pub(super) fn remove_sandbox(shared: &Shared, sandbox: Sandbox) {
    if sandbox.own_ip {
        shared.ipam.release(sandbox.ip);
    }
}

/// Writes the files of `/etc` that all containers of the pod share.
pub(super) fn write_etc(shared: &Shared, pod: &Pod, dir: &Path, ip: Ipv4Addr) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let hostname = rootfs::hostname(pod);
    let world = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let dns = Dns {
        server: shared.cfg.cluster_dns.to_string(),
        domain: &shared.cfg.cluster_domain,
        world,
    };
    fs::write(
        dir.join("hosts"),
        rootfs::hosts(pod, &ip.to_string(), &hostname, &shared.cfg.cluster_domain),
    )?;
    fs::write(dir.join("hostname"), format!("{hostname}\n"))?;
    fs::write(dir.join("resolv.conf"), rootfs::resolv_conf(pod, &dns))
}

/// Reads one ConfigMap or Secret and reports it; retries until the API server answers.
pub(super) async fn fetch_source(
    shared: Arc<Shared>,
    namespace: String,
    key: SourceKey,
    tell: mpsc::UnboundedSender<Message>,
) {
    loop {
        match source::fetch(&shared.cfg.client, &namespace, &key).await {
            Ok(data) => {
                let _ = tell.send(Message::Fetched(key, data));
                return;
            }
            Err(error) => tracing::warn!(namespace, %key, %error, "cannot read; retrying"),
        }
        if tell.is_closed() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Requests a token and reports it together with the time after which it must be replaced: four
/// fifths of its lifetime, as in the kubelet.
pub(super) async fn fetch_token(
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    key: TokenKey,
    tell: mpsc::UnboundedSender<Message>,
) {
    loop {
        match request_token(&shared, &pod, &key).await {
            Ok(token) => {
                let life = Duration::from_secs(u64::try_from(key.seconds).unwrap_or(3600));
                let _ = tell.send(Message::Token {
                    key,
                    token,
                    replace_after: life * 4 / 5,
                });
                return;
            }
            Err(error) => {
                let _ = tell.send(Message::Trouble(format!(
                    "cannot request a service account token: {error}"
                )));
            }
        }
        if tell.is_closed() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// An error requesting a token.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error(transparent)]
    Refused(Box<kube::Error>),
    #[error("the response contains no token")]
    Empty,
}

async fn request_token(shared: &Shared, pod: &Pod, key: &TokenKey) -> Result<String, TokenError> {
    let meta = &pod.metadata;
    let account = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.service_account_name.clone())
        .unwrap_or_else(|| "default".to_owned());
    let api: Api<ServiceAccount> = Api::namespaced(
        shared.cfg.client.clone(),
        meta.namespace.as_deref().unwrap_or("default"),
    );
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(key.audience.iter().cloned().collect()),
            expiration_seconds: Some(key.seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let answer = api
        .create_token_request(&account, &PostParams::default(), &request)
        .await
        .map_err(|error| TokenError::Refused(Box::new(error)))?;
    let token = answer.status.and_then(|status| status.token);
    token.ok_or(TokenError::Empty)
}

/// Brings every volume of the pod up to date.
///
/// # Errors
/// [`VolumeError`] of the first volume that fails.
pub(super) fn write_volumes(
    context: &VolumeContext<'_>,
    pod_dir: &Path,
) -> Result<(), VolumeError> {
    let Some(spec) = &context.pod.spec else {
        return Ok(());
    };
    let group = spec
        .security_context
        .as_ref()
        .and_then(|security| security.fs_group)
        .and_then(|group| u32::try_from(group).ok());
    for volume in spec.volumes.iter().flatten() {
        let dir = rootfs::volume_dir(pod_dir, &volume.name);
        let say = |source| VolumeError::Write {
            volume: volume.name.clone(),
            source,
        };
        match volumes::content(context, volume)? {
            Content::Empty if dir.exists() => {}
            Content::Empty => rootfs::make_empty_dir(&dir, group).map_err(say)?,
            Content::Files(files) => {
                fs::create_dir_all(&dir).map_err(say)?;
                atomic::publish(&dir, &files, group).map_err(say)?;
            }
        }
    }
    Ok(())
}
