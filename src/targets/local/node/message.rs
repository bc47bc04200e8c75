//! Messages to a pod's worker.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;

use super::{
    probes::{ProbeKind, ProbeVerdict},
    process::{Exit, Process},
    refusal::Refusal,
    sandbox::Sandbox,
    source::{Data, SourceKey},
    volumes::TokenKey,
};

/// A message to a pod's worker.
pub(super) enum Message {
    /// The pod's object has changed.
    Pod(Arc<Pod>),
    /// The pod's object is gone.
    Gone,
    /// The sandbox was created, or its creation failed.
    Sandbox(std::io::Result<Sandbox>),
    /// An object was read for the first time.
    Fetched(SourceKey, Option<Data>),
    /// An object has changed.
    Source(SourceKey, Option<Data>),
    Token {
        key: TokenKey,
        token: String,
        replace_after: Duration,
    },
    /// Something delays the pod.
    Trouble(String),
    /// A container's process was created.
    Launched {
        slot: usize,
        run: u32,
        process: Process,
    },
    /// A container's process runs and its postStart hook is done.
    Started {
        slot: usize,
        run: u32,
    },
    HookFailed {
        slot: usize,
        run: u32,
        message: String,
    },
    Refused {
        slot: usize,
        run: u32,
        refusal: Refusal,
    },
    Exited {
        slot: usize,
        run: u32,
        exit: Exit,
    },
    Probed {
        slot: usize,
        run: u32,
        kind: ProbeKind,
        verdict: ProbeVerdict,
    },
}
