//! The requirements that scenarios prove, and the capabilities that they may need.

/// Id and summary of each requirement.
pub const REQUIREMENTS: [(&str, &str); 63] = [
    ("B1", "calls of one connection reach every replica"),
    ("B2", "the same behind the ingress gateway"),
    (
        "B3",
        "port name and appProtocol decide between L7 and pinned",
    ),
    (
        "B4",
        "a wrong protocol loses routing, retries and telemetry",
    ),
    ("B5", "each balancing policy shows its own distribution"),
    ("B6", "consistent hashing keeps a key on one replica"),
    ("B7", "replicas come and go under traffic, no call fails"),
    (
        "B8",
        "headless, pod address, client-side balancing in the mesh",
    ),
    ("R1", "services behind one host are selected by path"),
    ("R2", "one method has its own route, timeout and retries"),
    ("R3", "gRPC content type is routed, other traffic elsewhere"),
    ("R4", "weighted subsets apply per call and follow edits"),
    ("R5", "a metadata header selects the canary"),
    ("R6", "missing route or subset: status and response flag"),
    ("R7", "GRPCRoute behaves as the VirtualService does"),
    (
        "R8",
        "mirror, faults, authority rewrite and authority with port",
    ),
    ("T1", "a status is retried if and only if it is listed"),
    ("T2", "attempts, per-try timeout and overall timeout hold"),
    (
        "T3",
        "trailers-only errors are retried, later errors are not",
    ),
    ("T4", "the implicit retry policy can duplicate a write"),
    ("T5", "per-method timeout; the smaller deadline wins"),
    ("T6", "retry budgets bound the retries in flight"),
    ("S1", "streams outlive the default timeouts without loss"),
    ("S2", "a route timeout cuts a stream, visibly"),
    (
        "S3",
        "idle, half-closed, slow, large: streams keep their shape",
    ),
    ("S4", "streams survive pushes, rotation and scale-out"),
    ("S5", "no call fails when servers retire connections"),
    ("S6", "keepalive and window sizes, hop by hop"),
    ("W1", "gRPC-Web is translated at the gateway"),
    ("W2", "preflight and exposed headers answer the browser"),
    ("W3", "disallowed origin, method and header stay rejected"),
    ("W4", "a browser can read errors of application and proxy"),
    ("W5", "real browser clients from allowed and other origins"),
    ("W6", "the mesh's own gRPC-Web port protocol"),
    ("L1", "TLS gateway: ALPN, versions, server name"),
    ("L2", "plaintext HTTP/2 at the gateway"),
    ("L3", "certificates rotate under traffic"),
    ("L4", "strict mutual TLS, seen from both sides"),
    (
        "L5",
        "authorization by service, method, principal and token",
    ),
    (
        "L6",
        "mutual and passthrough gateways, coalesced connections",
    ),
    ("C1", "each connection pool limit has its visible effect"),
    ("C2", "failing endpoints are ejected and come back"),
    ("C3", "a protocol mismatch is named as such"),
    ("C4", "each response flag provoked and decoded"),
    ("C5", "restarts fail no call, or only the known number"),
    (
        "H1",
        "health probes work through injection; unhealthy pods leave",
    ),
    ("H2", "an excluded port bypasses the sidecar, no other does"),
    (
        "O1",
        "access logs and their filters, with gRPC errors in HTTP 200",
    ),
    ("O2", "trace context travels and spans arrive"),
    ("O3", "metrics agree with what the client saw"),
    ("O4", "the mesh's own diagnostics agree with its behaviour"),
    ("P1", "proxyless: injection template and bootstrap"),
    ("P2", "proxyless: discovery, subsets, policy, TLS"),
    (
        "P3",
        "proxyless: unsupported features are reported, never passed",
    ),
    ("P4", "cost of a sidecar compared with proxyless"),
    ("K1", "Linkerd: per-route retries, timeouts, budget"),
    ("K2", "Linkerd: weighted splits, old and new API"),
    ("K3", "Linkerd: servers and authorization by identity"),
    ("K4", "Linkerd: balancing per call, streams, mutual TLS"),
    ("U1", "several mesh versions side by side in one report"),
    ("U2", "an upgrade under continuous traffic"),
    ("U3", "a reported bug reproduced from a folder of manifests"),
    ("U4", "second interop: other clients see the same results"),
];

/// Whether the id is in the table.
pub fn is_known(id: &str) -> bool {
    REQUIREMENTS.iter().any(|(known, _)| *known == id)
}

/// Capabilities of a mesh for `needs`, with their meaning.
pub const OF_THE_MESH: [(&str, &str); 21] = [
    ("istio", "Istio's API is served"),
    ("gateway-api", "Gateway API with GRPCRoute is served"),
    ("envoy", "proxies are Envoy"),
    ("sidecar", "each pod has its own proxy"),
    ("proxyless", "gRPC itself is the data plane"),
    ("gateway", "an ingress gateway of the mesh"),
    ("weighted-backends", "routes with weights"),
    (
        "retry-budget",
        "concurrent retries are limited to a share of requests",
    ),
    ("envoy-filter", "proxy configuration can be patched"),
    (
        "telemetry",
        "mesh metrics and access logs are configured by API",
    ),
    ("access-log", "access logs of proxies can be read"),
    ("proxy-admin", "the proxies' admin interface can be read"),
    (
        "metadata-exchange",
        "proxies exchange metadata about their workloads",
    ),
    ("alpn-filter", "sidecars negotiate the mesh's own ALPN"),
    ("tracing", "a collector receives spans"),
    ("mirror", "requests can be copied"),
    ("fault-injection", "delays and aborts by route"),
    ("mtls", "workload identities and mutual TLS"),
    ("jwt", "request tokens are checked"),
    ("rolling-restart", "pods can be replaced one by one"),
    ("scale", "workloads can be scaled"),
];

/// Capabilities of a target for `needs`, with their meaning.
pub const OF_THE_TARGET: [(&str, &str); 6] = [
    ("grpcurl", "the grpcurl program is on the target"),
    ("grpcio", "Python with gRPC's own package is on the target"),
    ("istioctl", "the mesh's own tool, of the same version"),
    (
        "own-mesh",
        "the mesh belongs to the run: its components may be restarted",
    ),
    ("browser", "a real browser on the machine"),
    (
        "outside-namespace",
        "the cluster belongs to the run: cluster-scoped objects and objects in other namespaces may be created",
    ),
];

/// All values for `needs`.
pub fn needs() -> impl Iterator<Item = &'static str> {
    OF_THE_MESH
        .iter()
        .chain(&OF_THE_TARGET)
        .map(|(word, _)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_word_of_needs() {
        let text = include_str!("../../docs/scenario-format.md");
        for (word, what) in OF_THE_MESH.iter().chain(&OF_THE_TARGET) {
            let row = format!("| `{word}` | {what} |");
            assert!(text.contains(&row), "docs/scenario-format.md lacks: {row}");
        }
    }
}
