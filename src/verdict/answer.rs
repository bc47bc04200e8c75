//! Who answered a call, by the marks of the test bed's servers.

use testbed::control::{Observation, Origin, POD_HEADER, SERVER_HEADER, WORKLOAD_HEADER};

use super::fields;

/// A pod as the cluster knows it, for all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    pub namespace: &'a str,
    pub uid: &'a str,
}

/// First value of a key that only the test bed's own server writes, among headers or trailers.
pub fn mark<'a>(call: &'a Observation, key: &str) -> Option<&'a str> {
    let all = fields::all(&call.headers, key);
    let all = all.first().copied();
    all.or_else(|| fields::all(&call.trailers, key).first().copied())
}

/// Pod of the application that answered; `None`: no application did.
pub fn pod(call: &Observation) -> Option<&str> {
    mark(call, SERVER_HEADER)
}

/// Identity of the pod that answered; `None`: no application did, or one that was not told who it
/// is.
pub fn identity(call: &Observation) -> Option<Identity<'_>> {
    let (namespace, uid) = mark(call, POD_HEADER)?.split_once('/')?;
    Some(Identity { namespace, uid })
}

/// The pod of another namespace that answered, in words.
pub fn stranger(call: &Observation, namespace: &str) -> Option<String> {
    let other = identity(call).filter(|other| other.namespace != namespace)?;
    let pod = pod(call).unwrap_or("unnamed");
    Some(format!("{}/{pod} (uid {})", other.namespace, other.uid))
}

/// What a statistical test reads: not what the caller gave up, nor what a stranger answered.
/// Without a namespace nobody is one.
pub fn is_sample(call: &Observation, namespace: Option<&str>) -> bool {
    let own = |namespace| stranger(call, namespace).is_none();
    !given_up(call) && namespace.is_none_or(own)
}

/// Workload of the application that answered.
pub fn workload(call: &Observation) -> Option<&str> {
    mark(call, WORKLOAD_HEADER)
}

/// The caller gave up by its own limit: such a call says nothing of the mesh.
pub fn given_up(call: &Observation) -> bool {
    call.status.origin == Origin::ClientPatience
}
