//! A port of a pod through the API server, with the kubelet's words when it cannot be reached.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Kubernetes tells on a channel of its own why a port cannot be forwarded, and merely ends the
/// stream. Here the end of such a stream is an error with these words.
pub struct Forwarded {
    stream: DuplexStream,
    error: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
    told: bool,
}

impl Forwarded {
    /// The stream of one port.
    pub fn new(mut forward: Portforwarder, port: u16) -> Option<Self> {
        Some(Self {
            stream: forward.take_stream(port)?,
            error: Box::pin(forward.take_error(port)?),
            told: false,
        })
    }

    /// What the kubelet said, once: `None` while it said nothing, or when it will not say anything
    /// any more.
    fn words(&mut self, cx: &mut Context<'_>) -> Option<String> {
        if self.told {
            return None;
        }
        match self.error.as_mut().poll(cx) {
            Poll::Pending => None,
            Poll::Ready(words) => {
                self.told = true;
                words
            }
        }
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let ended = matches!(read, Poll::Ready(Ok(()))) && buf.filled().len() == before;
        match self.words(cx) {
            Some(words) if ended || read.is_pending() => Poll::Ready(Err(io::Error::other(words))),
            _ => read,
        }
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
