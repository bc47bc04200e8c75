//! The verb `certificate`, and `delete` of what it wrote.

use super::{configuration, error::StepError};
use crate::{
    cluster::object::{self, ObjectError},
    mesh::istio::propagation::secrets::{self, SecretError},
    run::state::Run,
    scenario::verb::certificate::Certificate,
};

/// The verb `certificate`: returns when every proxy that uses the Secret has its new contents.
///
/// # Errors
/// The Secret was rejected, or a proxy still uses the old certificate.
pub async fn certificate(run: &mut Run<'_>, step: &Certificate) -> Result<(), StepError> {
    let hosts: Vec<String> = step
        .hosts
        .iter()
        .map(|host| configuration::expand(run, host))
        .collect();
    let ns = &run.ns;
    let (object, key, recorded) = ns
        .certificates
        .secret(step, &hosts, &run.ctx.session.run_id)?;
    run.ctx.redactor.register(&key);
    let written = run.ctx.writer.apply(&object, ns.home()).await?;
    ns.certificates.keep(step.name(), recorded);
    run.applied.insert(key_of(&step.secret), vec![written]);
    Ok(settled(run).await?)
}

/// The verb `delete` for a Secret that a `certificate` step wrote. Returns `false` if there is no
/// such Secret.
///
/// # Errors
/// The API server does not delete it.
pub async fn delete(run: &mut Run<'_>, name: &str) -> Result<bool, ObjectError> {
    let Some(written) = run.applied.remove(&key_of(name)) else {
        return Ok(false);
    };
    run.ns.certificates.forget(name);
    for one in &written {
        object::delete(&run.ctx.client, one).await?;
    }
    Ok(true)
}

/// Secrets and manifests may have the same names.
fn key_of(secret: &str) -> String {
    format!("secret {secret}")
}

/// Waits until every gateway of the scenario has the present state of every Secret that it uses.
///
/// # Errors
/// [`SecretError`], with the proxy, the Secret and what the proxy has.
pub async fn settled(run: &Run<'_>) -> Result<(), SecretError> {
    let current = run.ns.certificates.current();
    let mut proxies = run.ns.proxies(run.ctx);
    proxies.retain(|proxy| proxy.is_gateway());
    for proxy in &proxies {
        secrets::await_secrets(proxy, &current).await?;
    }
    Ok(())
}
