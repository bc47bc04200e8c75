//! Which pod answered a call, according to the headers that the test bed's servers set.

use testbed::control::{Observation, Origin, POD_HEADER, SERVER_HEADER, WORKLOAD_HEADER};

use super::fields;

/// The unique identity of a pod in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    pub namespace: &'a str,
    pub uid: &'a str,
}

/// The first value, among headers or trailers, of a key that only the test bed's own server sets.
pub fn mark<'a>(call: &'a Observation, key: &str) -> Option<&'a str> {
    fields::first(&call.headers, key).or_else(|| fields::first(&call.trailers, key))
}

/// The pod of the application that answered; `None` if no application did.
pub fn pod(call: &Observation) -> Option<&str> {
    mark(call, SERVER_HEADER)
}

/// The identity of the pod that answered; `None` if no application did, or if the application does
/// not know its own identity.
pub fn identity(call: &Observation) -> Option<Identity<'_>> {
    let (namespace, uid) = mark(call, POD_HEADER)?.split_once('/')?;
    Some(Identity { namespace, uid })
}

/// Describes the pod that answered if it belongs to another namespace.
pub fn stranger(call: &Observation, namespace: &str) -> Option<String> {
    let other = identity(call).filter(|other| other.namespace != namespace)?;
    let pod = pod(call).unwrap_or("unnamed");
    Some(format!("{}/{pod} (uid {})", other.namespace, other.uid))
}

/// Whether no pod of another namespace answered.
pub fn is_own(call: &Observation, namespace: &str) -> bool {
    identity(call).is_none_or(|pod| pod.namespace == namespace)
}

/// Whether a statistical test reads this call: calls that the caller gave up or that a pod of
/// another namespace answered are not samples. Without a `namespace`, the pod's namespace is not
/// checked.
pub fn is_sample(call: &Observation, namespace: Option<&str>) -> bool {
    !given_up(call) && namespace.is_none_or(|namespace| is_own(call, namespace))
}

/// The workload of the application that answered.
pub fn workload(call: &Observation) -> Option<&str> {
    mark(call, WORKLOAD_HEADER)
}

/// Whether the caller gave up at its own time limit: such a call is no evidence about the mesh.
pub fn given_up(call: &Observation) -> bool {
    call.status.origin == Origin::ClientPatience
}
