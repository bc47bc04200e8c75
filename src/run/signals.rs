//! Signals escalate: the first requests an orderly end, the second exits at once and prints how
//! to remove what remains.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{EventKind, recorder::Recorder},
    exit::Exit,
    output,
    timeouts::timeouts,
};

/// The signal that requested the end, and the commands that remove what remains. The commands are
/// printed if the process exits before its clean-up is complete.
#[derive(Debug, Clone, Default)]
pub struct Parting(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    commands: Vec<String>,
    signal: Option<i32>,
}

impl Parting {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the commands, each of which removes everything of this run.
    pub fn set(&self, commands: Vec<String>) {
        self.with(|inner| inner.commands = commands);
    }

    /// The exit status, if a signal requested the end.
    pub fn exit(&self) -> Option<Exit> {
        self.with(|inner| inner.signal).map(Exit::Signal)
    }

    fn message(&self) -> Option<String> {
        let commands = self.with(|inner| inner.commands.clone());
        (!commands.is_empty()).then(|| {
            format!(
                "exited before the clean-up was complete; to remove what remains, run:\n  {}",
                commands.join("\n  or\n  ")
            )
        })
    }
}

/// SIGINT, SIGTERM and SIGHUP.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Installs the handlers. From now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// Signal handlers cannot be installed.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns the name and number of the next signal.
    pub async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", 2),
            _ = self.terminate.recv() => ("SIGTERM", 15),
            _ = self.hangup.recv() => ("SIGHUP", 1),
        }
    }
}

/// Cancels `cancel` at the first signal and emits an event with its name. At the second, or when
/// the orderly end takes too long, the process exits. The local world ends with it, because its
/// lifeline breaks, and the commands of `parting` are printed.
///
/// # Errors
/// Signal handlers cannot be installed.
pub fn watch(
    cancel: CancellationToken,
    recorder: Recorder,
    parting: Parting,
) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        let (name, number) = signals.next().await;
        recorder.emit(EventKind::Interrupted {
            signal: name.to_owned(),
        });
        parting.with(|inner| inner.signal = Some(number));
        cancel.cancel();
        tokio::select! {
            (_, number) = signals.next() => leave(number, &parting),
            () = tokio::time::sleep(timeouts().run.orderly_end) => leave(number, &parting),
        }
    });
    Ok(())
}

#[allow(
    clippy::exit,
    reason = "a second signal requests an exit without unwinding"
)]
fn leave(number: i32, parting: &Parting) {
    if let Some(message) = parting.message() {
        output::say(&message);
    }
    std::process::exit(Exit::Signal(number).code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_when_nothing_can_stay() {
        let parting = Parting::default();
        assert_eq!(parting.message(), None);
        parting.set(vec!["meshproof target gc".into(), "kubectl delete".into()]);
        let message = parting.message().unwrap();
        assert!(
            message.ends_with("\n  meshproof target gc\n  or\n  kubectl delete"),
            "{message}"
        );
    }
}
