//! A container's environment, command line and working directory: the image's, overridden by the
//! pod's.

use std::net::SocketAddrV4;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

use super::{
    fields::{Addresses, pod_field, resource_field},
    refusal::ConfigError,
    source::{Data, Known, SourceKey},
};
use crate::targets::local::container::DEFAULT_PATH;

/// Inputs of a container's environment.
pub(super) struct EnvContext<'a> {
    pub pod: &'a Pod,
    pub addresses: Addresses,
    pub api_server: SocketAddrV4,
    pub known: &'a Known,
    /// The container's host name.
    pub hostname: &'a str,
}

/// The variables in the order in which they first appear; a later value replaces an earlier one.
pub(super) fn environment(
    context: &EnvContext<'_>,
    image: &[(String, String)],
    container: &Container,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut env = Environment::default();
    env.set("PATH", DEFAULT_PATH.to_owned());
    env.set("HOSTNAME", context.hostname.to_owned());
    for (name, value) in image {
        env.set(name, value.clone());
    }
    for (name, value) in service_variables(context.api_server) {
        env.set(&name, value);
    }
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let config_map = from
            .config_map_ref
            .iter()
            .map(|source| (SourceKey::config_map(&source.name), source.optional));
        let secret = from
            .secret_ref
            .iter()
            .map(|source| (SourceKey::secret(&source.name), source.optional));
        for (key, optional) in config_map.chain(secret) {
            for (name, value) in lookup(context.known, &key, optional)?
                .iter()
                .flat_map(|data| data.iter())
            {
                env.set(
                    &format!("{prefix}{name}"),
                    String::from_utf8_lossy(value).into_owned(),
                );
            }
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(context, container, variable, &env)? {
            env.set(&variable.name, value);
        }
    }
    Ok(env.0)
}

#[derive(Default)]
struct Environment(Vec<(String, String)>);

impl Environment {
    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// The variables of the API server's Service, which client libraries look for.
fn service_variables(api: SocketAddrV4) -> Vec<(String, String)> {
    let (ip, port) = (api.ip(), api.port());
    let url = format!("tcp://{api}");
    [
        ("KUBERNETES_SERVICE_HOST", ip.to_string()),
        ("KUBERNETES_SERVICE_PORT", port.to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS", port.to_string()),
        ("KUBERNETES_PORT", url.clone()),
        (&format!("KUBERNETES_PORT_{port}_TCP"), url),
        (&format!("KUBERNETES_PORT_{port}_TCP_ADDR"), ip.to_string()),
        (
            &format!("KUBERNETES_PORT_{port}_TCP_PORT"),
            port.to_string(),
        ),
        (
            &format!("KUBERNETES_PORT_{port}_TCP_PROTO"),
            "tcp".to_owned(),
        ),
    ]
    .map(|(name, value): (&str, String)| (name.to_owned(), value))
    .into()
}

/// `None` if an optional reference does not exist: the variable is then not set.
fn value_of(
    context: &EnvContext<'_>,
    container: &Container,
    variable: &EnvVar,
    so_far: &Environment,
) -> Result<Option<String>, ConfigError> {
    let Some(from) = &variable.value_from else {
        return Ok(Some(expand(
            variable.value.as_deref().unwrap_or_default(),
            &so_far.0,
        )));
    };
    if let Some(field) = &from.field_ref {
        let value = pod_field(context.pod, &field.field_path, context.addresses)?;
        return Ok(Some(value));
    }
    if let Some(resource) = &from.resource_field_ref {
        let named = resource
            .container_name
            .as_deref()
            .and_then(|name| container_named(context.pod, name));
        let value = resource_field(named.unwrap_or(container), resource)?;
        return Ok(Some(value));
    }
    let (source, key, optional) = match (&from.config_map_key_ref, &from.secret_key_ref) {
        (Some(source), _) => (
            SourceKey::config_map(&source.name),
            &source.key,
            source.optional,
        ),
        (None, Some(source)) => (
            SourceKey::secret(&source.name),
            &source.key,
            source.optional,
        ),
        (None, None) => {
            return Err(ConfigError::ValueFrom {
                variable: variable.name.clone(),
            });
        }
    };
    let Some(data) = lookup(context.known, &source, optional)? else {
        return Ok(None);
    };
    match data.get(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(ConfigError::NoKey {
            key: key.clone(),
            object: source,
        }),
    }
}

pub(super) fn container_named<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .find(|container| container.name == name)
}

fn lookup<'a>(
    known: &'a Known,
    key: &SourceKey,
    optional: Option<bool>,
) -> Result<Option<&'a Data>, ConfigError> {
    match known.get(key) {
        Some(Some(data)) => Ok(Some(data)),
        _ if optional == Some(true) => Ok(None),
        _ => Err(ConfigError::NotFound(key.clone())),
    }
}

/// Replaces `$(NAME)` with the variable's value; `$$` is a dollar sign, and a reference to an
/// unknown variable stays as it is (Kubernetes API, `EnvVar.value` and `Container.command`).
pub(super) fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
        } else if let Some((name, more)) = after
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            match env.iter().find(|(known, _)| known == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = more;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Program and arguments: a pod's `command` replaces the image's entrypoint, its `args` follow.
pub(super) fn command_line(
    entrypoint: &[String],
    container: &Container,
    env: &[(String, String)],
) -> Vec<String> {
    let filled = |parts: &Option<Vec<String>>| parts.clone().filter(|parts| !parts.is_empty());
    let expanded = |parts: Vec<String>| {
        parts
            .iter()
            .map(|word| expand(word, env))
            .collect::<Vec<_>>()
    };
    let mut argv = filled(&container.command).map_or_else(|| entrypoint.to_vec(), expanded);
    argv.extend(filled(&container.args).map(expanded).unwrap_or_default());
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};
    use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

    #[rstest]
    #[case("plain", "plain")]
    #[case("$(A)/x", "1/x")]
    #[case("$(A)$(B)", "12")]
    #[case("$(NO)", "$(NO)")]
    #[case("$$(A)", "$(A)")]
    #[case("$A ${A} $", "$A ${A} $")]
    #[case("$(A", "$(A")]
    fn references_are_expanded(#[case] text: &str, #[case] expected: &str) {
        let env = [
            ("A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "2".to_owned()),
        ];
        assert_eq!(expand(text, &env), expected);
    }

    #[rstest]
    #[case::image(json!({}), &["/entry", "serve"])]
    #[case::arguments(json!({"args": ["--v=$(V)"]}), &["/entry", "serve", "--v=7"])]
    #[case::command(json!({"command": ["/other"]}), &["/other"])]
    #[case::both(json!({"command": ["/other"], "args": ["a"]}), &["/other", "a"])]
    fn the_pod_overrides_the_image(#[case] mut container: Value, #[case] expected: &[&str]) {
        container["name"] = json!("c");
        let container: Container = serde_json::from_value(container).unwrap();
        let entrypoint = ["/entry".to_owned(), "serve".to_owned()];
        assert_eq!(
            command_line(&entrypoint, &container, &[("V".to_owned(), "7".to_owned())]),
            expected
        );
    }

    fn build(container: Value) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut container = container;
        container["name"] = json!("c");
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}}),
        )
        .unwrap();
        let data: Data = Arc::new([("k".to_owned(), b"v".to_vec())].into());
        let known = Known::from([
            (SourceKey::config_map("cm"), Some(data.clone())),
            (SourceKey::secret("s"), Some(data)),
            (SourceKey::secret("gone"), None),
        ]);
        let context = EnvContext {
            pod: &pod,
            addresses: Addresses {
                pod: Ipv4Addr::new(10, 0, 0, 2),
                node: Ipv4Addr::new(10, 0, 0, 1),
            },
            api_server: "10.96.0.1:443".parse().unwrap(),
            known: &known,
            hostname: "p",
        };
        let container = &pod.spec.as_ref().unwrap().containers[0];
        environment(
            &context,
            &[("FROM_IMAGE".to_owned(), "yes".to_owned())],
            container,
        )
        .map(|env| env.into_iter().collect())
    }

    #[rstest]
    #[case::image(json!({}), "FROM_IMAGE", Some("yes"))]
    #[case::service(json!({}), "KUBERNETES_SERVICE_PORT", Some("443"))]
    #[case::service_url(json!({}), "KUBERNETES_PORT_443_TCP", Some("tcp://10.96.0.1:443"))]
    #[case::overrides(json!({"env": [{"name": "FROM_IMAGE", "value": "no"}]}), "FROM_IMAGE", Some("no"))]
    #[case::earlier(json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}]}), "B", Some("12"))]
    #[case::field(json!({"env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}), "N", Some("p"))]
    #[case::key(json!({"env": [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}]}), "K", Some("v"))]
    #[case::optional_key(json!({"env": [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "x", "optional": true}}}]}), "K", None)]
    #[case::optional_secret(json!({"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "x", "optional": true}}}]}), "K", None)]
    #[case::all_with_prefix(json!({"envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}]}), "P_k", Some("v"))]
    fn variables_have_their_values(
        #[case] container: Value,
        #[case] name: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(
            build(container).unwrap().get(name).map(String::as_str),
            expected
        );
    }

    #[rstest]
    #[case::key(json!({"env": [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "x"}}}]}), "couldn't find key x in configmap \"cm\"")]
    #[case::object(json!({"envFrom": [{"secretRef": {"name": "gone"}}]}), "secret \"gone\" not found")]
    fn a_missing_source_is_named(#[case] container: Value, #[case] expected: &str) {
        assert_eq!(build(container).unwrap_err().to_string(), expected);
    }
}
