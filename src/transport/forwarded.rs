//! A stream to a pod's port through the API server, with the kubelet's message if the port cannot
//! be reached.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Kubernetes reports on a separate channel why a port cannot be forwarded, and just ends the
/// stream. Here the end of such a stream is an error with that message.
pub struct Forwarded {
    stream: DuplexStream,
    error: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
    reported: bool,
}

impl Forwarded {
    /// The stream of one port.
    pub fn new(mut forward: Portforwarder, port: u16) -> Option<Self> {
        Some(Self {
            stream: forward.take_stream(port)?,
            error: Box::pin(forward.take_error(port)?),
            reported: false,
        })
    }

    /// The kubelet's message, once. `None` while there is none, or if the channel has ended.
    fn message(&mut self, cx: &mut Context<'_>) -> Option<String> {
        if self.reported {
            return None;
        }
        match self.error.as_mut().poll(cx) {
            Poll::Pending => None,
            Poll::Ready(text) => {
                self.reported = true;
                text
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
        match self.message(cx) {
            Some(message) if ended || read.is_pending() => {
                Poll::Ready(Err(io::Error::other(message)))
            }
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
