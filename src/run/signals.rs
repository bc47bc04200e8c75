//! Signals escalate: the first asks for an orderly end, the second leaves at once and says what
//! removes the rest.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    event::{EventKind, recorder::Recorder},
    exit::Exit,
    output,
    timeouts::timeouts,
};

/// The signal that asked to end, and what is said when the process has to leave before its clean-up
/// is done: commands that remove what stays.
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

    /// From now on each of these commands removes everything of this run.
    pub fn set(&self, commands: Vec<String>) {
        self.with(|inner| inner.commands = commands);
    }

    /// How the process ends when a signal asked for it.
    pub fn exit(&self) -> Option<Exit> {
        self.with(|inner| inner.signal).map(Exit::Signal)
    }

    fn words(&self) -> Option<String> {
        let commands = self.with(|inner| inner.commands.clone());
        (!commands.is_empty()).then(|| {
            format!(
                "left before the clean-up was done; this removes what remains:\n  {}",
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
    /// From now on they do not end the process by themselves.
    ///
    /// # Errors
    /// When signal handlers cannot be installed.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Name and number of the next one.
    pub async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", 2),
            _ = self.terminate.recv() => ("SIGTERM", 15),
            _ = self.hangup.recv() => ("SIGHUP", 1),
        }
    }
}

/// Cancels `cancel` at the first signal and tells which it was. At the second, or when the orderly
/// end takes too long, the process ends: the local world's lifeline breaks with it, and `parting`
/// says how the rest is removed.
///
/// # Errors
/// When signal handlers cannot be installed.
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
    reason = "a second signal asks to leave without unwinding"
)]
fn leave(number: i32, parting: &Parting) {
    if let Some(words) = parting.words() {
        output::say(&words);
    }
    std::process::exit(Exit::Signal(number).code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_when_nothing_can_stay() {
        let parting = Parting::default();
        assert_eq!(parting.words(), None);
        parting.set(vec!["meshproof target gc".into(), "kubectl delete".into()]);
        let words = parting.words().unwrap();
        assert!(
            words.ends_with("\n  meshproof target gc\n  or\n  kubectl delete"),
            "{words}"
        );
    }
}
