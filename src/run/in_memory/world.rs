//! The API server, the node, and the controller that creates the pods of Deployments.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{
    control::{Attempt, CONTROL_PORT},
    server,
};
use tokio::{sync::Mutex, task::JoinHandle, time::timeout};

use super::{
    node::{Key, Node, PodLocation},
    program::InMemoryProgram,
};
use crate::{
    cluster::fake::Fake,
    fixture::workload::WORKLOAD_LABEL,
    transport::{PodDialer, http::PodPort},
};

/// Annotation of a pod template with the last byte of the pod's address.
pub const ADDRESS: &str = "meshproof.test/address";
/// Last byte of the address of the server for control calls.
const CONTROL: u8 = 250;
/// Upper limit for every wait in tests.
const LIMIT: Duration = Duration::from_secs(30);

/// A cluster in this process.
pub struct World {
    pub fake: Fake,
    pub node: Node,
    /// Addresses of this world: `127.A.B.*`.
    network: [u8; 2],
    programs: Programs,
    socket: TempDir,
    tasks: [JoinHandle<()>; 2],
    control_address: SocketAddr,
    control: Mutex<Option<server::ServerHandle>>,
}

type Programs = Arc<Mutex<BTreeMap<Key, InMemoryProgram>>>;

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl World {
    /// Starts a cluster without scenarios.
    pub async fn start() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        // Other processes that run these tests use other addresses.
        let process = u8::try_from(std::process::id() % 190).expect("small") + 64;
        let network = [process, NEXT.fetch_add(1, Ordering::Relaxed)];
        let (fake, node, programs) = (Fake::default(), Node::default(), Programs::default());
        let socket = tempfile::tempdir().expect("a directory");
        let listening = node.listen(&socket.path().join("node.sock"), fake.clone());
        let making = tokio::spawn(make_pods(
            fake.clone(),
            node.clone(),
            Arc::clone(&programs),
            network,
        ));
        let control = plain_server(Ipv4Addr::new(127, network[0], network[1], CONTROL)).await;
        Self {
            fake,
            node,
            network,
            programs,
            socket,
            tasks: [listening, making],
            control_address: control.addresses[0],
            control: Mutex::new(Some(control)),
        }
    }

    /// Returns the dialer for its pods.
    pub fn dial(&self) -> PodDialer {
        PodDialer::node(self.socket.path().join("node.sock"))
    }

    /// Returns `host:port` of the server for control calls.
    pub fn control(&self) -> String {
        self.control_address.to_string()
    }

    /// Returns the address of the pod whose workload has this number.
    pub fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.network[0], self.network[1], number)
    }

    /// Returns the attempts at all servers of a workload.
    pub async fn attempts(&self, workload: &str) -> Vec<Attempt> {
        let programs = self.programs.lock().await;
        let named = programs
            .iter()
            .filter(|((_, pod), _)| pod.starts_with(workload));
        let ledgers = named.filter_map(|(_, program)| program.ledger());
        ledgers.flat_map(|ledger| ledger.attempts("")).collect()
    }

    /// Waits until an attempt at a workload meets the condition.
    pub async fn until(&self, workload: &str, expected: impl Fn(&Attempt) -> bool) {
        let waited = async {
            while !self.attempts(workload).await.iter().any(&expected) {
                tokio::task::yield_now().await;
            }
        };
        let waited = timeout(LIMIT, waited).await;
        waited.unwrap_or_else(|_| panic!("no attempt at {workload} meets the condition"));
    }

    /// Ends the programs of a workload. Its pods stay unchanged in the API server.
    pub async fn stop(&self, workload: &str) {
        let mut programs = self.programs.lock().await;
        let named = programs.extract_if(.., |(_, pod), _| pod.starts_with(workload));
        for (_, program) in named.collect::<Vec<_>>() {
            program.stop().await;
        }
    }

    /// Resets the scripts of the servers of a workload.
    pub async fn heal(&self, workload: &str) {
        let keys: Vec<Key> = self.programs.lock().await.keys().cloned().collect();
        for (namespace, pod) in keys
            .into_iter()
            .filter(|(_, pod)| pod.starts_with(workload))
        {
            let port = PodPort {
                dial: self.dial(),
                namespace,
                pod,
                port: CONTROL_PORT,
            };
            let reported = port.send(Method::PUT, "/v1/script", b"{}".to_vec()).await;
            drop(reported.expect("it accepts the script"));
        }
    }

    /// Ends the server for control calls.
    pub async fn control_ends(&self) {
        if let Some(control) = self.control.lock().await.take() {
            control.shutdown().await;
        }
    }

    /// From now on, ledger requests to a workload reach another server, which has received no
    /// calls.
    pub async fn forget(&self, workload: &str) {
        let other = plain_server(self.address(CONTROL - 1)).await;
        self.node.detour(workload, other.control);
    }

    /// Returns the names of the existing namespaces.
    pub fn namespaces(&self) -> Vec<String> {
        let names = |path: &String| {
            let name = path.strip_prefix("/api/v1/namespaces/")?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        self.fake.paths().iter().filter_map(names).collect()
    }
}

/// Starts a server that belongs to no scenario.
async fn plain_server(address: Ipv4Addr) -> server::ServerHandle {
    let options = server::ServerOptions {
        bind: address.into(),
        ports: vec![0],
        control: SocketAddr::from((address, 0)),
        services: vec![server::ServiceName::Greeter],
        info: testbed::control::Info::default(),
        max_connection_age: None,
        max_connection_age_grace: None,
        max_concurrent_streams: 100,
        tls: None,
        tls_names: Vec::new(),
        http_fallback: true,
    };
    server::start(options).await.expect("the address is free")
}

/// Stands in for the Deployment controller, the scheduler and the kubelet.
async fn make_pods(fake: Fake, node: Node, programs: Programs, network: [u8; 2]) {
    let mut changes = fake.changes();
    loop {
        changes.borrow_and_update();
        let expected = expected(&fake);
        let mut programs = programs.lock().await;
        let gone = programs.extract_if(.., |key, _| !expected.contains_key(key));
        for (key, program) in gone.collect::<Vec<_>>() {
            node.remove(&key);
            fake.remove(&format!("/api/v1/namespaces/{}/pods/{}", key.0, key.1));
            // Calls may still be in progress.
            tokio::spawn(program.stop());
        }
        let there: BTreeSet<Key> = programs.keys().cloned().collect();
        for (key, template) in expected.into_iter().filter(|(key, _)| !there.contains(key)) {
            let path = format!("/api/v1/namespaces/{}/pods/{}", key.0, key.1);
            if fake.get(&path).is_some() {
                continue; // its program has ended
            }
            let number = template
                .pointer("/metadata/annotations")
                .map(|all| &all[ADDRESS]);
            let number = number
                .and_then(Value::as_str)
                .and_then(|number| number.parse().ok());
            let address = Ipv4Addr::new(127, network[0], network[1], number.expect("a number"));
            let object = pod(&key, &template, address);
            let parsed: Pod = serde_json::from_value(object.clone()).expect("a pod");
            let workload = template["metadata"]["labels"][WORKLOAD_LABEL].as_str();
            let workload = workload.unwrap_or_default().to_owned();
            programs.insert(key.clone(), InMemoryProgram::start(&parsed, address).await);
            node.insert(key, PodLocation { address, workload });
            fake.with(|inner| inner.insert(&path, object));
        }
        drop(programs);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Returns the one pod of every Deployment in an existing namespace, with its template.
fn expected(fake: &Fake) -> BTreeMap<Key, Value> {
    let pod = |(path, object): (&String, &Value)| {
        let (namespace, name) = path
            .strip_prefix("/apis/apps/v1/namespaces/")?
            .split_once("/deployments/")?;
        let key = (namespace.to_owned(), format!("{name}-0"));
        Some((key, object["spec"]["template"].clone()))
    };
    let mut all: BTreeMap<Key, Value> =
        fake.with(|inner| inner.objects.iter().filter_map(pod).collect());
    let there = |namespace: &str| {
        fake.get(&format!("/api/v1/namespaces/{namespace}"))
            .is_some()
    };
    all.retain(|(namespace, _), _| there(namespace));
    all
}

fn pod((namespace, name): &Key, template: &Value, address: Ipv4Addr) -> Value {
    let mut metadata = template["metadata"].clone();
    metadata["name"] = name.as_str().into();
    metadata["namespace"] = namespace.as_str().into();
    metadata["uid"] = format!("uid-of-{namespace}-{name}").into();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"],
        "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}
