//! The only way from the host into the world: a listener on the host's loopback that is relayed
//! to the API server.
//!
//! A socket belongs to the network namespace in which it was created, so the harness creates the
//! listener and the world inherits it (as stdout); the world dials its own loopback.
//!
//! Every user of the machine can connect to it, and can do nothing without the world's key; but
//! connections cost resources. Their number is limited: at the limit, the one that was idle
//! longest is closed. A new connection that sends nothing is closed, and no accept error ends the
//! world.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::spec::API_PORT;

/// Limit of concurrent connections. A run with eight jobs has about thirty; each takes two file
/// descriptors and no more than 64 KiB.
const MOST: usize = 256;
/// How long a new connection may send nothing. A TLS client speaks first.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// Delay before the next accept when the machine has no file descriptor or no memory left for a
/// connection.
const BREATH: Duration = Duration::from_millis(50);

/// Takes the inherited listener from stdout.
///
/// # Errors
/// If stdout is not a listening socket.
pub fn inherited() -> io::Result<TcpListener> {
    let socket = std::io::stdout().as_fd().try_clone_to_owned()?;
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Relays to the API server. Ends only when the listener itself no longer is one.
pub async fn serve(listener: TcpListener) -> io::Error {
    let door = Door {
        to: (Ipv4Addr::LOCALHOST, API_PORT).into(),
        most: MOST,
        first_word: FIRST_WORD,
        inside: Arc::default(),
    };
    door.serve(listener).await
}

/// The open connections.
type Inside = Arc<Mutex<Vec<Guest>>>;

struct Guest {
    number: u64,
    /// Milliseconds from the relay's start to the last byte in either direction.
    spoke: Arc<AtomicU64>,
    out: CancellationToken,
}

struct Door {
    to: SocketAddr,
    most: usize,
    first_word: Duration,
    inside: Inside,
}

impl Door {
    async fn serve(self, listener: TcpListener) -> io::Error {
        let start = Instant::now();
        for number in 0.. {
            let outer = loop {
                match listener.accept().await {
                    Ok((outer, _)) => break outer,
                    Err(error) if is_final(&error) => return error,
                    // Out of descriptors or memory, or the client is gone again: nothing to do
                    // with this world.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection to the API server");
                        sleep(BREATH).await;
                    }
                }
            };
            let guest = self.enter(number, start);
            let (to, first_word, inside) = (self.to, self.first_word, self.inside.clone());
            tokio::spawn(async move {
                let clock = Clock {
                    start,
                    spoke: guest.1,
                };
                tokio::select! {
                    _ = pass(outer, to, first_word, &clock) => {}
                    () = guest.0.cancelled() => {}
                }
                let mut inside = inside.lock().unwrap_or_else(PoisonError::into_inner);
                inside.retain(|guest| guest.number != number);
            });
        }
        io::Error::other("the relay ran out of connection numbers")
    }

    /// Adds a connection to the list; at the limit, the one that was idle longest is closed.
    fn enter(&self, number: u64, start: Instant) -> (CancellationToken, Arc<AtomicU64>) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.len() >= self.most {
            let spoke = |guest: &Guest| guest.spoke.load(Ordering::Relaxed);
            let longest = (0..inside.len()).min_by_key(|&index| spoke(&inside[index]));
            if let Some(index) = longest {
                inside.swap_remove(index).out.cancel();
            }
        }
        let (out, spoke) = (
            CancellationToken::new(),
            Arc::new(AtomicU64::new(millis(start))),
        );
        inside.push(Guest {
            number,
            spoke: spoke.clone(),
            out: out.clone(),
        });
        (out, spoke)
    }
}

/// Whether the listener is closed or never was one (accept(2)); all other errors are transient.
fn is_final(error: &io::Error) -> bool {
    use nix::libc::{EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP};
    [EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP]
        .map(Some)
        .contains(&error.raw_os_error())
}

fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// When a connection last sent anything.
struct Clock {
    start: Instant,
    spoke: Arc<AtomicU64>,
}

impl Clock {
    fn tick(&self) {
        self.spoke.store(millis(self.start), Ordering::Relaxed);
    }
}

/// Copies each direction until its own end: what one side has sent is delivered even if that side
/// no longer reads (see [`crate::transport::pass`], which needs no clock). Nothing is dialed for
/// a client that sends nothing.
async fn pass(
    outer: TcpStream,
    to: SocketAddr,
    first_word: Duration,
    clock: &Clock,
) -> io::Result<()> {
    let _ = outer.set_nodelay(true);
    // Being readable does not guarantee a byte (tokio's documentation); peeking does.
    let spoken = timeout(first_word, outer.peek(&mut [0])).await;
    spoken.map_err(|_| io::ErrorKind::TimedOut)??;
    let inner = TcpStream::connect(to).await?;
    let _ = inner.set_nodelay(true);
    let ((outer_read, outer_write), (inner_read, inner_write)) =
        (outer.into_split(), inner.into_split());
    // A direction that broke off has ended: its halves are closed with it.
    let _ = tokio::join!(
        copy(outer_read, inner_write, clock),
        copy(inner_read, outer_write, clock)
    );
    Ok(())
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, clock: &Clock) -> io::Result<()> {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        clock.tick();
        to.write_all(&chunk[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay to an echo server, and its address.
    async fn door(most: usize, first_word: Duration) -> SocketAddr {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let to = echo.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door {
            to,
            most,
            first_word,
            inside: Arc::default(),
        };
        tokio::spawn(door.serve(listener));
        address
    }

    async fn says(stream: &mut TcpStream, word: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(word).await?;
        let mut back = vec![0; word.len()];
        stream.read_exact(&mut back).await?;
        Ok(back)
    }

    async fn is_closed(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        let read = timeout(Duration::from_secs(10), stream.read(&mut byte)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }

    #[tokio::test]
    async fn who_says_nothing_is_sent_away() {
        let address = door(8, Duration::from_millis(50)).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(is_closed(&mut idle).await);
        let address = door(8, Duration::from_secs(60)).await;
        let mut speaker = TcpStream::connect(address).await.unwrap();
        assert_eq!(says(&mut speaker, b"hello").await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn a_crowd_of_idle_connections_keeps_nobody_out_and_ends_nothing() {
        let address = door(8, Duration::from_secs(60)).await;
        let mut crowd = Vec::new();
        for _ in 0..100 {
            crowd.push(TcpStream::connect(address).await.unwrap());
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        assert_eq!(says(&mut late, b"hello").await.unwrap(), b"hello");
        assert!(is_closed(&mut crowd[0]).await, "the idle one was closed");
    }

    #[tokio::test]
    async fn one_that_is_at_work_outlives_those_that_are_not() {
        let address = door(4, Duration::from_secs(60)).await;
        let mut busy = TcpStream::connect(address).await.unwrap();
        let mut crowd = Vec::new();
        for _ in 0..20 {
            assert_eq!(says(&mut busy, b"work").await.unwrap(), b"work");
            crowd.push(TcpStream::connect(address).await.unwrap());
            // The relay's clock counts milliseconds.
            sleep(Duration::from_millis(3)).await;
        }
        assert_eq!(says(&mut busy, b"done").await.unwrap(), b"done");
    }

    #[tokio::test]
    async fn both_ends_are_told_of_an_end() {
        let address = door(4, Duration::from_secs(60)).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"last words");
    }

    #[test]
    fn being_out_of_descriptors_is_not_the_end() {
        let error = |code| io::Error::from_raw_os_error(code);
        for passing in [
            nix::libc::EMFILE,
            nix::libc::ENFILE,
            nix::libc::ENOMEM,
            nix::libc::ECONNABORTED,
        ] {
            assert!(!is_final(&error(passing)));
        }
        assert!(is_final(&error(nix::libc::EBADF)));
    }
}
