//! The control-plane processes of a world: their arguments, their logs, and how they end.

use std::{fs::File, path::PathBuf, process::Stdio};

use tokio::process::{Child, Command};

use super::{
    error::RoleError,
    spec::{API_PORT, NODE_IP, NODE_NAME, POD_CIDR, SERVICE_CIDR, WorldSpec},
};
use crate::targets::local::limits;

/// The end of a control-plane process, with the last lines of its log.
#[derive(Debug, thiserror::Error)]
#[error("{name} ended ({how}){why}; its last log lines:\n{last}")]
pub struct DaemonEnded {
    name: &'static str,
    how: String,
    /// `: REASON`, if its log shows one.
    why: String,
    last: String,
}

/// A running control-plane process; it is killed when this is dropped.
pub struct Daemon {
    pub name: &'static str,
    pub log: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts `program` (a name in the toolchain's directory) with its output in
    /// `logs/<name>.log`.
    ///
    /// # Errors
    /// [`RoleError`], with the program or the log file.
    pub fn start(
        spec: &WorldSpec,
        name: &'static str,
        args: Vec<String>,
    ) -> Result<Self, RoleError> {
        let log = spec.logs().join(format!("{name}.log"));
        let open = || File::create(&log).map_err(RoleError::io(format!("write {}", log.display())));
        let file = open()?;
        let both = file.try_clone();
        let both = both.map_err(RoleError::io(format!("write {}", log.display())))?;
        let program = spec.bins.join(name);
        let child = Command::new(&program)
            .args(args)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", spec.private())
            // A third of the API server's time was garbage collection (Go documentation, "A Guide
            // to the Go Garbage Collector").
            .env("GOGC", "400")
            .env("GOMEMLIMIT", "1GiB")
            .current_dir(spec.private())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(both)
            .kill_on_drop(true)
            .spawn()
            .map_err(RoleError::io(format!("start {}", program.display())))?;
        Ok(Self { name, log, child })
    }

    /// Kills the process, and waits until it is gone.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await; // fails only if it has already exited
    }

    /// Waits for the process to end.
    pub async fn ended(&mut self) -> DaemonEnded {
        let how = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let last = tail(&self.log, 15);
        // Go's runtime prints pages of stacks after the line with the reason.
        let whole = tail(&self.log, usize::MAX);
        let why = limits::explain(&whole).map_or(String::new(), |why| format!(": {why}"));
        let name = self.name;
        DaemonEnded {
            name,
            how,
            why,
            last,
        }
    }
}

/// The last `lines` lines of a log file.
pub fn tail(log: &std::path::Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn message(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// etcd on loopback, without fsync and with a commit a second: a world does not outlive its
/// machine. Its only member elects itself after one or two election timeouts, which is a second or
/// two by default.
pub fn etcd(spec: &WorldSpec) -> Result<Daemon, RoleError> {
    let args = format!(
        "--data-dir={} --unsafe-no-fsync --backend-batch-interval=1s --heartbeat-interval=10 --election-timeout=100 --log-level=warn --logger=zap \
         --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
         --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
         --initial-cluster=default=http://127.0.0.1:2380",
        spec.store().display()
    );
    Daemon::start(spec, "etcd", message(&args))
}

/// The API server with RBAC and bound service-account tokens. `--enable-aggregator-routing` lets it
/// call webhooks by endpoint, before kube-proxy has written a rule. The two limits on requests in
/// flight are enough: there are no other users from whom priority and fairness would have to
/// protect a run.
pub fn api_server(spec: &WorldSpec) -> Result<Daemon, RoleError> {
    let pki = spec.pki();
    let pki = pki.display();
    let args = format!(
        "--etcd-servers=http://127.0.0.1:2379 --secure-port={API_PORT} --bind-address=0.0.0.0 --advertise-address={NODE_IP} \
         --tls-cert-file={pki}/apiserver.crt --tls-private-key-file={pki}/apiserver.key --client-ca-file={pki}/ca.crt \
         --token-auth-file={pki}/tokens.csv --service-cluster-ip-range={SERVICE_CIDR} --authorization-mode=RBAC --allow-privileged=true \
         --service-account-issuer=https://kubernetes.default.svc --service-account-key-file={pki}/sa.pub \
         --service-account-signing-key-file={pki}/sa.key --enable-aggregator-routing=true \
         --kubelet-certificate-authority={pki}/ca.crt --kubelet-client-certificate={pki}/apiserver-kubelet-client.crt \
         --kubelet-client-key={pki}/apiserver-kubelet-client.key --kubelet-preferred-address-types=InternalIP \
         --endpoint-reconciler-type=lease --max-requests-inflight=2000 --max-mutating-requests-inflight=1000 \
         --cert-dir={pki} --profiling=false --enable-priority-and-fairness=false"
    );
    Daemon::start(spec, "kube-apiserver", message(&args))
}

/// Controllers that a world has no use for. Nothing reads the legacy Endpoints objects: kube-proxy,
/// CoreDNS, Istio and the API server read `EndpointSlice`s, and each change of a pod would be
/// written twice. The node supports neither persistent nor generic ephemeral volumes, nor resource
/// claims, nor bootstrap tokens. A world does not live long enough for clean-up after a day. Those
/// that remove finalizers of volumes run, because the API server adds these.
const UNUSED: [&str; 15] = [
    "bootstrap-signer",
    "certificatesigningrequest-cleaner",
    "device-taint-eviction",
    "endpoints",
    "ephemeral-volume",
    "legacy-serviceaccount-token-cleaner",
    "node-ipam",
    "persistentvolume-attach-detach",
    "persistentvolume-binder",
    "persistentvolume-expander",
    "podcertificaterequest-cleaner",
    "resourceclaim",
    "storageversion-garbage-collector",
    "token-cleaner",
    "ttl",
];

/// The controllers of a cluster, with request limits that suit a hundred pods at once.
pub fn controller_manager(spec: &WorldSpec) -> Result<Daemon, RoleError> {
    let pki = spec.pki();
    let without = UNUSED.map(|name| format!(",-{name}-controller")).concat();
    let args = format!(
        "--controllers=*{without} --kubeconfig={kubeconfig} --leader-elect=false --bind-address=127.0.0.1 \
         --service-account-private-key-file={pki}/sa.key --root-ca-file={pki}/ca.crt \
         --cluster-signing-cert-file={pki}/ca.crt --cluster-signing-key-file={pki}/ca.key \
         --use-service-account-credentials=false --kube-api-qps=500 --kube-api-burst=1000 \
         --concurrent-deployment-syncs=20 --concurrent-replicaset-syncs=20 --concurrent-namespace-syncs=20 \
         --concurrent-endpoint-syncs=20 --concurrent-service-endpoint-syncs=20 --endpointslice-updates-batch-period=0s \
         --allocate-node-cidrs=false --configure-cloud-routes=false --cert-dir={pki}",
        kubeconfig = spec.kubeconfig_inside().display(),
        pki = pki.display(),
    );
    Daemon::start(spec, "kube-controller-manager", message(&args))
}

/// kube-proxy in nftables mode. It must not change conntrack limits: those belong to the host. With
/// a `minSyncPeriod` of 100 ms, a Service that came back took a second longer to be reached.
///
/// # Errors
/// [`RoleError`], with the file or program that failed.
pub fn proxy(spec: &WorldSpec) -> Result<Daemon, RoleError> {
    let path = spec.private().join("kube-proxy.json");
    let config = serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": spec.kubeconfig_inside(), "qps": 200, "burst": 400},
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": POD_CIDR,
        "bindAddress": "127.0.0.1",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nftables": {"minSyncPeriod": "10ms", "syncPeriod": "30s"},
    });
    std::fs::write(&path, config.to_string())
        .map_err(RoleError::io(format!("write {}", path.display())))?;
    Daemon::start(
        spec,
        "kube-proxy",
        vec![format!("--config={}", path.display())],
    )
}

/// The streaming half of the kubelet API (exec, attach, port-forward, logs).
pub fn kubelet_streams(spec: &WorldSpec) -> Result<Daemon, RoleError> {
    let pki = spec.pki();
    let pki = pki.display();
    let args = format!(
        "--listen={NODE_IP}:{port} --tls-cert-file={pki}/kubelet.crt --tls-private-key-file={pki}/kubelet.key \
         --client-ca-file={pki}/ca.crt --node-socket={socket}",
        port = super::spec::KUBELET_PORT,
        socket = spec.node_socket().display(),
    );
    Daemon::start(spec, "kubelet-streams", message(&args))
}
