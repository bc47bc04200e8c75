//! Checks whether an object belongs to the namespace of the scenario that writes it, and whether
//! its fields can be used in a request's path.

use serde_json::Value;

use crate::errors::{Classified, ErrorClass};

/// Why an object is outside its scenario's namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    #[error(
        "{kind} {name} would be written into the namespace {namespace}, which is not the scenario's own; leave metadata.namespace out"
    )]
    Namespace {
        kind: String,
        name: String,
        namespace: String,
    },
    #[error("{kind} {name} is cluster-scoped: it would affect the whole cluster")]
    Cluster { kind: String, name: String },
}

impl Classified for Outside {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

/// A field of an object that would change the path of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {answer:?}: {expected}")]
pub struct WordError {
    field: &'static str,
    /// The beginning of its value.
    answer: String,
    expected: &'static str,
}

impl Classified for WordError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

/// Whether an object is outside the scenario's namespace `own`. `cluster_scoped` is the scope of
/// its kind: see [`crate::scenario::kinds::is_cluster_scoped`], or query the API server. Before
/// placeholders are replaced, `own` is `${namespace}`.
///
/// A Namespace called `OWN-…`, and what is in it, also belongs to the scenario.
pub fn outside(object: &Value, own: &str, cluster_scoped: bool) -> Option<Outside> {
    let text = |pointer: &str| {
        let found = object.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let is_own = |namespace: &str| {
        let rest = namespace.strip_prefix(own);
        rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && rest.len() > 1))
    };
    if cluster_scoped {
        let further = is_further(object) && is_own(&name) && name != own;
        return (!further).then_some(Outside::Cluster { kind, name });
    }
    let namespace = text("/metadata/namespace");
    (!namespace.is_empty() && !is_own(&namespace)).then_some(Outside::Namespace {
        kind,
        name,
        namespace,
    })
}

/// Whether the object is a Namespace.
pub fn is_further(object: &Value) -> bool {
    object["kind"] == "Namespace" && object["apiVersion"] == "v1"
}

/// Rejects fields of an object that would change the path of a request.
///
/// # Errors
/// [`WordError`] for the first such field.
pub fn check_words(object: &Value) -> Result<(), WordError> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let wrong = |field, answer: &str, expected| {
        let answer = answer.chars().take(60).collect();
        Err(WordError {
            field,
            answer,
            expected,
        })
    };
    let kind = text("/kind").unwrap_or_default();
    if kind.is_empty() || !kind.chars().all(|c| c.is_ascii_alphanumeric()) {
        return wrong("kind", kind, "a kind consists of letters and digits");
    }
    let version = text("/apiVersion").unwrap_or_default();
    let dns = |part: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        !part.is_empty() && part.chars().all(fits) && !part.starts_with('.') && !part.contains("..")
    };
    if version.split('/').count() > 2 || !version.split('/').all(dns) {
        let expected = "write VERSION or GROUP/VERSION, in lower case";
        return wrong("apiVersion", version, expected);
    }
    let name = text("/metadata/name").unwrap_or_default();
    // A path segment (k8s.io/apimachinery/pkg/api/validation/path). RBAC names have colons, and
    // some have capitals.
    let segment = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if matches!(name, "" | "." | "..") || name.len() > 253 || !name.chars().all(segment) {
        let expected = "a name consists of at most 253 letters, digits, '-' and '.'";
        return wrong("metadata.name", name, expected);
    }
    let namespace = text("/metadata/namespace").unwrap_or("none");
    let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if namespace.is_empty() || namespace.len() > 63 || !namespace.chars().all(label) {
        let expected = "a namespace consists of at most 63 lower-case letters, digits and '-'";
        return wrong("metadata.namespace", namespace, expected);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::scenario::kinds::is_cluster_scoped;

    fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
        let mut object =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = namespace.into();
        }
        object
    }

    #[rstest]
    #[case::in_its_own("v1", "ConfigMap", None, "a", false)]
    #[case::told_so("v1", "ConfigMap", Some("mp-x-1-a"), "a", false)]
    #[case::a_second_one("v1", "Namespace", None, "mp-x-1-a-third", false)]
    #[case::in_the_second("v1", "ConfigMap", Some("mp-x-1-a-third"), "a", false)]
    #[case::of_istio("v1", "ConfigMap", Some("istio-system"), "a", true)]
    #[case::looks_alike("v1", "ConfigMap", Some("mp-x-1-ab"), "a", true)]
    #[case::only_a_dash("v1", "Namespace", None, "mp-x-1-a-", true)]
    #[case::its_own_namespace("v1", "Namespace", None, "mp-x-1-a", true)]
    #[case::somebodys_namespace("v1", "Namespace", None, "default", true)]
    #[case::role(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        None,
        "mp-x-1-a-role",
        true
    )]
    #[case::role_with_namespace(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        Some("mp-x-1-a"),
        "a",
        true
    )]
    fn what_lies_outside_is_told(
        #[case] api_version: &str,
        #[case] kind: &str,
        #[case] namespace: Option<&str>,
        #[case] name: &str,
        #[case] is_outside: bool,
    ) {
        let object = object(api_version, kind, namespace, name);
        let scoped = is_cluster_scoped(api_version, kind);
        let found = outside(&object, "mp-x-1-a", scoped);
        assert_eq!(found.is_some(), is_outside, "{found:?}");
    }

    #[test]
    fn placeholders_that_are_not_replaced_yet_are_judged_alike() {
        let of = |namespace| object("v1", "ConfigMap", Some(namespace), "a");
        assert_eq!(outside(&of("${namespace}"), "${namespace}", false), None);
        assert_eq!(outside(&of("${namespace}-b"), "${namespace}", false), None);
        assert!(outside(&of("default"), "${namespace}", false).is_some());
    }

    #[rstest]
    #[case::plain("v1", "ConfigMap", Some("a"), "a.b-c", None)]
    #[case::rbac(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        None,
        "system:Node",
        None
    )]
    #[case::up("v1", "ConfigMap", None, "../../x", Some("metadata.name"))]
    #[case::dots("v1", "ConfigMap", None, "..", Some("metadata.name"))]
    #[case::escaped("v1", "ConfigMap", None, "a%2fb", Some("metadata.name"))]
    #[case::template("v1", "ConfigMap", None, "{{ .Release.Name }}", Some("metadata.name"))]
    #[case::question("v1", "ConfigMap", None, "a?b", Some("metadata.name"))]
    #[case::kind_up("v1", "../../x", None, "a", Some("kind"))]
    #[case::no_kind("v1", "", None, "a", Some("kind"))]
    #[case::version_up("../v1", "ConfigMap", None, "a", Some("apiVersion"))]
    #[case::long_version("a/b/c", "ConfigMap", None, "a", Some("apiVersion"))]
    #[case::namespace_up("v1", "ConfigMap", Some("../x"), "a", Some("metadata.namespace"))]
    #[case::no_namespace("v1", "ConfigMap", Some(""), "a", Some("metadata.namespace"))]
    fn words_that_would_change_a_path_are_refused(
        #[case] api_version: &str,
        #[case] kind: &str,
        #[case] namespace: Option<&str>,
        #[case] name: &str,
        #[case] field: Option<&str>,
    ) {
        let answer = check_words(&object(api_version, kind, namespace, name));
        let answer = answer.err().map(|error| error.to_string());
        match field {
            None => assert_eq!(answer, None),
            Some(field) => assert!(
                answer.clone().unwrap().starts_with(&format!("{field} is ")),
                "{answer:?}"
            ),
        }
    }
}
