//! Signals escalate: the first asks for an orderly end, the second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{event::Kind, recorder::Recorder};

/// Cancels `cancel` at the first SIGINT, SIGTERM or SIGHUP and tells which it was. At the second the process ends: the local
/// world's lifeline breaks with it, so that nothing stays.
///
/// # Errors
/// When signal handlers cannot be installed.
#[allow(
    clippy::exit,
    reason = "a second signal asks to leave without unwinding"
)]
pub fn watch(cancel: CancellationToken, recorder: Recorder) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let (name, number) = tokio::select! {
                _ = interrupt.recv() => ("SIGINT", 2),
                _ = terminate.recv() => ("SIGTERM", 15),
                _ = hangup.recv() => ("SIGHUP", 1),
            };
            if cancel.is_cancelled() {
                std::process::exit(128 + number);
            }
            recorder.emit(Kind::Interrupted {
                signal: name.to_owned(),
            });
            cancel.cancel();
        }
    });
    Ok(())
}
