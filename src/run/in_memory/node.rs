//! The node's socket, which opens streams to ports of pods as the local target's node does for
//! [`crate::transport::PodDialer`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use testbed::control::CONTROL_PORT;
use tokio::{
    io::{self, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

use super::istiod;
use crate::cluster::fake::Fake;

/// Namespace and name of a pod.
pub type Key = (String, String);

/// Address and workload of a pod.
#[derive(Clone)]
pub struct PodLocation {
    pub address: Ipv4Addr,
    pub workload: String,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<Key, PodLocation>,
    /// Workloads whose control ports lead to another address.
    detours: BTreeMap<String, SocketAddr>,
}

/// Connects to pods. Cheap to clone.
#[derive(Clone, Default)]
pub struct Node {
    state: Arc<Mutex<State>>,
    /// Workloads whose control ports accept requests but do not answer.
    held: Arc<watch::Sender<BTreeSet<String>>>,
    /// Number of requests that were held.
    waiting: Arc<watch::Sender<usize>>,
}

impl Node {
    /// Listens on a socket.
    pub fn listen(&self, socket: &Path, fake: Fake) -> JoinHandle<()> {
        let listener = UnixListener::bind(socket).expect("the socket is free");
        let node = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (node, fake) = (node.clone(), fake.clone());
                // The other end sees an error as a stream that ends.
                tokio::spawn(async move { drop(node.connect(stream, fake).await) });
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn insert(&self, key: Key, ns: PodLocation) {
        self.state().pods.insert(key, ns);
    }

    pub fn remove(&self, key: &Key) {
        self.state().pods.remove(key);
    }

    /// Redirects the control ports of a workload to another address.
    pub fn detour(&self, workload: &str, to: SocketAddr) {
        self.state().detours.insert(workload.to_owned(), to);
    }

    /// Stops the control ports of a workload from answering until [`Node::release`].
    pub fn hold(&self, workload: &str) {
        self.held.send_modify(|held| {
            held.insert(workload.to_owned());
        });
    }

    pub fn release(&self) {
        self.held.send_modify(BTreeSet::clear);
    }

    /// Waits until a request is held.
    pub async fn is_asked(&self) {
        let mut waiting = self.waiting.subscribe();
        waiting
            .wait_for(|count| *count > 0)
            .await
            .expect("the node exists");
    }

    async fn connect(&self, stream: UnixStream, fake: Fake) -> io::Result<()> {
        let mut stream = BufReader::with_capacity(1, stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let request: Value = serde_json::from_str(&line)?;
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let key = (text("namespace"), text("pod"));
        let mut stream = stream.into_inner();
        if key == ("istio-system".to_owned(), "istiod".to_owned()) {
            stream.write_all(b"{}\n").await?;
            istiod::serve(stream, fake).await;
            return Ok(());
        }
        let port = request["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        let reached = match self.way(&key, port.unwrap_or_default()) {
            Some((ns, address)) => {
                let opened = TcpStream::connect(address).await;
                opened
                    .map(|open| (ns, open))
                    .map_err(|error| error.to_string())
            }
            None => Err("no such pod".to_owned()),
        };
        match reached {
            Ok((ns, open)) => {
                stream.write_all(b"{}\n").await?;
                self.pipe(stream, open, &ns.workload).await
            }
            Err(message) => {
                stream
                    .write_all(format!("{}\n", json!({"error": message})).as_bytes())
                    .await
            }
        }
    }

    fn way(&self, key: &Key, port: u16) -> Option<(PodLocation, SocketAddr)> {
        let state = self.state();
        let ns = state.pods.get(key)?.clone();
        let detour = state.detours.get(&ns.workload);
        let detour = detour.filter(|_| port == CONTROL_PORT).copied();
        let own = SocketAddr::from((ns.address, port));
        Some((ns, detour.unwrap_or(own)))
    }

    /// Copies bytes both ways. Requests to a held workload are delayed until it is released.
    async fn pipe(&self, stream: UnixStream, to: TcpStream, workload: &str) -> io::Result<()> {
        let (mut from, mut back) = stream.into_split();
        let (mut answers, mut questions) = to.into_split();
        let asking = async {
            let mut piece = vec![0; 64 << 10];
            let mut held = self.held.subscribe();
            loop {
                let count = from.read(&mut piece).await?;
                if count == 0 {
                    return questions.shutdown().await;
                }
                if held.borrow().contains(workload) {
                    self.waiting.send_modify(|count| *count += 1);
                }
                let free = held.wait_for(|held| !held.contains(workload)).await;
                drop(free.map_err(io::Error::other)?);
                questions.write_all(&piece[..count]).await?;
            }
        };
        let answering = async {
            io::copy(&mut answers, &mut back).await?;
            back.shutdown().await
        };
        tokio::try_join!(asking, answering).map(drop)
    }
}
