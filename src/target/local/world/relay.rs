//! The one door from the host into the world: a listener on the host's loopback that leads to the API server.
//!
//! A socket belongs to the network namespace in which it was made, so the harness makes the listener and the world inherits
//! it (as stdout); the world dials its own loopback.

use std::{net::Ipv4Addr, os::fd::AsFd as _};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use super::spec::API_PORT;

/// Takes the inherited listener from stdout.
///
/// # Errors
/// When stdout is no listening socket.
pub fn inherited() -> std::io::Result<TcpListener> {
    let socket = std::io::stdout().as_fd().try_clone_to_owned()?;
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Relays until the listener fails.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (mut outer, _) = listener.accept().await?;
        tokio::spawn(async move {
            let _ = outer.set_nodelay(true);
            if let Ok(mut inner) = TcpStream::connect((Ipv4Addr::LOCALHOST, API_PORT)).await {
                let _ = inner.set_nodelay(true);
                let _ = copy_bidirectional(&mut outer, &mut inner).await;
            }
        });
    }
}
