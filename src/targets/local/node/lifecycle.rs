//! postStart and preStop hooks of a container, and stopping it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    probe_action::{ProbeAction, ProbeTarget},
    probe_failure::ProbeFailure,
    process::Process,
};
use crate::errors::chain;

/// Limit for a postStart hook. The kubelet has none, which would hide a hook that never ends.
const POST_START_LIMIT: Duration = Duration::from_secs(600);
/// Minimum time between SIGTERM and SIGKILL, even if the hook or the containers that stop earlier
/// used up the grace period, as in the kubelet.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// Runs the container's postStart hook, if it has one.
///
/// # Errors
/// [`ProbeFailure`] if it failed or did not finish in time.
pub(super) async fn post_start(
    container: &Container,
    target: &ProbeTarget,
) -> Result<(), ProbeFailure> {
    let Some(hook) = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.post_start.as_ref())
    else {
        return Ok(());
    };
    match timeout(POST_START_LIMIT, run(container, hook, target)).await {
        Ok(result) => result,
        Err(_) => Err(ProbeFailure::HookLate {
            seconds: POST_START_LIMIT.as_secs(),
        }),
    }
}

async fn run(
    container: &Container,
    hook: &LifecycleHandler,
    target: &ProbeTarget,
) -> Result<(), ProbeFailure> {
    if let Some(nap) = &hook.sleep {
        sleep(Duration::from_secs(u64::try_from(nap.seconds).unwrap_or(0))).await;
        return Ok(());
    }
    match ProbeAction::new(
        container,
        &target.pod_ip,
        hook.exec.as_ref(),
        hook.http_get.as_ref(),
        hook.tcp_socket.as_ref(),
        None,
    )? {
        Some(check) => check.ask(target).await,
        None => Ok(()),
    }
}

/// Stops the container: preStop hook, the stop signal, and SIGKILL at the deadline. Returns when
/// the process has ended; an error of the hook is passed to `complain`.
pub(super) async fn stop(
    container: Container,
    target: ProbeTarget,
    process: Process,
    deadline: Instant,
    complain: impl FnOnce(String),
) {
    let hook = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    if let Some(hook) = hook {
        let ended = process.ended.clone();
        tokio::select! {
            () = ended.cancelled() => return,
            result = timeout_at(deadline, run(&container, hook, &target)) => match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => complain(chain(&error)),
                Err(_) => complain("the hook did not finish within the grace period".to_owned()),
            },
        }
    }
    process.signal(stop_signal(&container));
    let deadline = deadline.max(Instant::now() + LEAST_GRACE);
    if timeout_at(deadline, process.ended.cancelled())
        .await
        .is_err()
    {
        process.signal(Signal::SIGKILL);
        process.ended.cancelled().await;
    }
}

/// `lifecycle.stopSignal`, or SIGTERM.
fn stop_signal(container: &Container) -> Signal {
    let named = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    named
        .and_then(|name| name.parse().ok())
        .unwrap_or(Signal::SIGTERM)
}
