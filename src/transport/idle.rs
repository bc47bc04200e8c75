//! Idle HTTP connections to pods, kept for their next request. Through an API server, each new
//! connection is a TLS handshake, an upgrade and work for kubelet and container runtime. On a
//! local node, it is a thread that enters the pod's network namespace.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

/// Maximum number of idle connections for one port. Others are closed.
const KEPT: usize = 2;

pub(super) type Sender = SendRequest<Full<Bytes>>;
/// Namespace, pod and port.
pub(super) type PortKey = (String, String, u16);

/// Idle connections, shared by all clones.
#[derive(Clone, Default)]
pub struct Idle(Arc<Mutex<HashMap<PortKey, Vec<Sender>>>>);

impl Idle {
    /// An idle connection to this port that is still open as far as this side knows.
    pub(super) fn take(&self, key: &PortKey) -> Option<Sender> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = all.get_mut(key)?;
        waiting.retain(|sender| !sender.is_closed());
        let found = waiting.pop();
        if waiting.is_empty() {
            all.remove(key);
        }
        found
    }

    /// Keeps a connection whose last response has been read, and drops those that have ended.
    pub(super) fn put(&self, key: PortKey, sender: Sender) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, waiting| {
            waiting.retain(|sender| !sender.is_closed());
            !waiting.is_empty()
        });
        let waiting = all.entry(key).or_default();
        if waiting.len() < KEPT {
            waiting.push(sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use hyper_util::rt::TokioIo;
    use tokio::task::JoinHandle;

    use super::*;

    /// A connection to a server that answers every request, and the server.
    async fn connection() -> (Sender, JoinHandle<()>) {
        let (here, there) = tokio::io::duplex(1024);
        let server = tokio::spawn(async move {
            let answer = |_| async {
                Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::default()))
            };
            let service = hyper::service::service_fn(answer);
            let serving = hyper::server::conn::http1::Builder::new();
            let _ = serving.serve_connection(TokioIo::new(there), service).await;
        });
        let client = hyper::client::conn::http1::handshake(TokioIo::new(here));
        let (sender, connection) = client.await.unwrap();
        tokio::spawn(connection);
        (sender, server)
    }

    #[tokio::test]
    async fn a_connection_is_used_again_until_it_ends() {
        let (idle, key) = (Idle::default(), ("ns".to_owned(), "pod".to_owned(), 80));
        let (sender, server) = connection().await;
        idle.put(key.clone(), sender);
        assert!(
            idle.take(&("ns".to_owned(), "pod".to_owned(), 81))
                .is_none()
        );
        for _ in 0..2 {
            let mut sender = idle.take(&key).unwrap();
            assert!(idle.take(&key).is_none(), "two have the same connection");
            sender.ready().await.unwrap();
            let request = Request::new(Full::default());
            assert!(sender.send_request(request).await.is_ok());
            idle.put(key.clone(), sender);
        }
        server.abort();
        let _ = server.await;
        let ended = async {
            while idle
                .take(&key)
                .map(|sender| idle.put(key.clone(), sender))
                .is_some()
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), ended)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let (idle, key) = (Idle::default(), ("ns".to_owned(), "pod".to_owned(), 80));
        for _ in 0..KEPT + 1 {
            let (sender, _server) = connection().await;
            idle.put(key.clone(), sender);
        }
        let waiting = std::iter::from_fn(|| idle.take(&key)).count();
        assert_eq!(waiting, KEPT);
    }
}
