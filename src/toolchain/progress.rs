//! Progress of a preparation.

use std::{fmt, time::Duration};

/// One step of a preparation. `Display` formats a log line.
#[derive(Debug, Clone, Copy)]
pub enum PrepareProgress<'a> {
    /// The set is in the cache and complete.
    Cached { set: &'a str, bytes: u64 },
    /// Another process is building the same set.
    Waiting { set: &'a str, holder: &'a str },
    /// The cached set is damaged and is rebuilt.
    Rebuilding { set: &'a str, why: &'a str },
    /// A component's build or download begins; `index` counts from 1.
    Started {
        component: &'a str,
        index: usize,
        total: usize,
    },
    /// A component was finished by an interrupted run.
    Resumed {
        component: &'a str,
        index: usize,
        total: usize,
    },
    /// A line of output of `go` or `pip`; `packages` are the Go packages compiled so far, of `of`
    /// at most.
    Line {
        component: &'a str,
        line: &'a str,
        packages: usize,
        of: usize,
        elapsed: Duration,
    },
    /// A component is done.
    Finished {
        component: &'a str,
        bytes: u64,
        took: Duration,
    },
}

impl fmt::Display for PrepareProgress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Cached { set, bytes } => write!(f, "{set}: cached, {}", megabytes(bytes)),
            Self::Waiting { set, holder } => {
                write!(f, "{set}: waiting for {holder}, which is building it")
            }
            Self::Rebuilding { set, why } => write!(
                f,
                "{set}: rebuilding, because the cached one is damaged: {why}"
            ),
            Self::Started {
                component,
                index,
                total,
            } => write!(f, "[{index}/{total}] {component}"),
            Self::Resumed {
                component,
                index,
                total,
            } => {
                write!(
                    f,
                    "[{index}/{total}] {component}: done by an interrupted run"
                )
            }
            Self::Line {
                component,
                line,
                packages,
                of,
                elapsed,
            } => {
                write!(
                    f,
                    "{component}: {}s, {packages} of at most {of} packages, {line}",
                    elapsed.as_secs()
                )
            }
            Self::Finished {
                component,
                bytes,
                took,
            } => {
                write!(
                    f,
                    "{component}: {} in {:.1} s",
                    megabytes(bytes),
                    took.as_secs_f64()
                )
            }
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
