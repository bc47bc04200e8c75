//! Copies bytes between two connections, each direction until its own end.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};

/// Copies bytes until both sides are done. Data from one side is delivered even if that side no
/// longer reads: a program that exits resets its connection at the first byte that arrives
/// afterwards, and its last response may still be in flight then.
pub async fn pass(
    near: impl AsyncRead + AsyncWrite + Unpin,
    far: impl AsyncRead + AsyncWrite + Unpin,
) {
    let (near_in, near_out) = split(near);
    let (far_in, far_out) = split(far);
    tokio::join!(one_way(near_in, far_out), one_way(far_in, near_out));
}

/// Copies until the source ends or the destination stops reading. Both are ordinary ends of a
/// connection.
async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_said_is_delivered_although_its_side_takes_nothing_any_more() {
        const SIZE: usize = 100_000;
        let (near, mut client) = duplex(1_000);
        let (far, mut program) = duplex(SIZE);
        program.write_all(&[b'x'; SIZE]).await.unwrap();
        drop(program);
        client.write_all(b"a sign").await.unwrap();
        let passing = tokio::spawn(pass(near, far));
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), SIZE);
        drop(client);
        passing.await.unwrap();
    }

    #[tokio::test]
    async fn the_end_of_one_side_is_told_to_the_other() {
        let (near, client) = duplex(100);
        let (far, mut program) = duplex(100);
        let passing = tokio::spawn(pass(near, far));
        drop(client);
        assert_eq!(program.read(&mut [0; 8]).await.unwrap(), 0);
        drop(program);
        passing.await.unwrap();
    }
}
