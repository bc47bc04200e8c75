//! Memory of containers: one that exceeds its limit, or the largest one when the machine runs out
//! of memory, is killed, as the kernel does in a control group.
//!
//! Control groups are not used: a world would have to write into the machine's, and a group
//! outlives a world that is killed. Instead, the node samples memory itself, twice a second, and
//! a limit of the process itself (see `container::init`) applies where sampling is too slow.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::Signal,
    unistd::{SysconfVar, sysconf},
};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::process::Process;

/// Sampling interval. A program that fills page after page gets about 1 GB a second, and can exceed
/// its limit at that rate until the next sample.
const LOOK: Duration = Duration::from_millis(500);
/// Memory that must stay available on the machine, in bytes: the kubelet's hard eviction
/// threshold of 100 MiB (Kubernetes documentation, "Node-pressure Eviction"), plus room for the
/// harness and a compiler next to it.
const LEAST_FREE: u64 = 192 << 20;
/// After a kill for the machine's sake, how long the memory has to be freed before the next kill.
const RELIEF: Duration = Duration::from_secs(3);

/// The watched containers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    watched: Mutex<Vec<Watched>>,
}

#[derive(Debug)]
struct Watched {
    name: String,
    process: Process,
    /// Bytes.
    limit: Option<u64>,
}

/// Memory of all processes of a PID namespace, in bytes, by the namespace's inode.
type Usage = HashMap<u64, u64>;

impl Memory {
    /// Watches a container until it ends.
    pub fn watch(&self, name: String, process: Process, limit: Option<u64>) {
        let watched = Watched {
            name,
            process,
            limit,
        };
        self.lock().push(watched);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enforces the limits; never returns.
    pub async fn guard(&self) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut relief = Instant::now();
        loop {
            look.tick().await;
            let usage = usage();
            let mut watched = self.lock();
            watched.retain(|one| !one.process.ended.is_cancelled());
            let now: Vec<u64> = watched
                .iter()
                .map(|one| namespace(one.process.pid).map_or(0, |ns| used(&usage, ns)))
                .collect();
            for (one, bytes) in watched.iter().zip(&now) {
                if one.limit.is_some_and(|limit| *bytes > limit) {
                    one.kill(format!(
                        "it used {} MiB of memory and its limit is {} MiB",
                        mib(*bytes),
                        mib(one.limit.unwrap_or_default())
                    ));
                }
            }
            let free = available(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
            if free.is_some_and(|free| free < LEAST_FREE)
                && Instant::now() >= relief
                && let Some(index) = (0..now.len()).max_by_key(|&index| now[index])
            {
                watched[index].kill(format!(
                    "the machine had only {} MiB of memory left and it used the most, {} MiB",
                    mib(free.unwrap_or_default()),
                    mib(now[index])
                ));
                relief = Instant::now() + RELIEF;
            }
        }
    }
}

impl Watched {
    fn kill(&self, why: String) {
        if self.process.ended.is_cancelled() {
            return;
        }
        let reported = self.process.killed.lock();
        let mut reported = reported.unwrap_or_else(PoisonError::into_inner);
        if reported.is_none() {
            tracing::warn!(container = self.name, why, "out of memory");
            *reported = Some(why);
            self.process.signal(Signal::SIGKILL);
        }
    }
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

fn used(usage: &Usage, namespace: u64) -> u64 {
    usage.get(&namespace).copied().unwrap_or(0)
}

/// The PID namespace of a process.
fn namespace(pid: impl std::fmt::Display) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/pid"))
        .ok()
        .map(|meta| meta.ino())
}

/// Samples every process of the world.
fn usage() -> Usage {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page
        .and_then(|page| u64::try_from(page).ok())
        .unwrap_or(4096);
    let mut usage = Usage::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        let pages = fs::read_to_string(format!("/proc/{pid}/statm"));
        let pages = pages.ok().and_then(|text| own_pages(&text));
        if let (Some(pages), Some(namespace)) = (pages, namespace(pid)) {
            *usage.entry(namespace).or_default() += pages * page;
        }
    }
    usage
}

/// Resident pages that are not backed by a file (proc(5), `statm`: the second number minus the
/// third): programs and libraries are the machine's anyway, and shared by all containers.
fn own_pages(statm: &str) -> Option<u64> {
    let mut numbers = statm.split_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

/// `MemAvailable` in bytes (proc(5), `meminfo`).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::{sync::mpsc, time::timeout};
    use tokio_util::sync::CancellationToken;

    #[test]
    fn memory_is_what_no_file_stands_behind() {
        assert_eq!(own_pages("9000 700 200 4 0 600 0"), Some(500));
        assert_eq!(own_pages("1 2 3"), Some(0));
        assert_eq!(own_pages(""), None);
        let meminfo = "MemTotal: 100 kB\nMemAvailable:     12 kB\n";
        assert_eq!(available(meminfo), Some(12 * 1024));
        assert_eq!(available("MemTotal: 1 kB"), None);
    }

    #[test]
    fn a_process_counts_in_its_own_namespace() {
        let mine = namespace(std::process::id()).unwrap();
        assert!(used(&usage(), mine) > 100 * 1024);
    }

    /// Stands in for a container: this process's PID namespace is above any small limit.
    fn process() -> (Process, mpsc::UnboundedReceiver<Signal>) {
        let (signals, reported) = mpsc::unbounded_channel();
        let pid = i32::try_from(std::process::id()).unwrap();
        let process = Process {
            pid,
            signals,
            ended: CancellationToken::new(),
            killed: Arc::default(),
        };
        (process, reported)
    }

    #[tokio::test]
    async fn who_is_above_its_limit_is_killed_once_and_told_why() {
        let memory = Arc::new(Memory::default());
        let ((over, mut killed), (under, mut spared)) = (process(), process());
        memory.watch("over".into(), over.clone(), Some(1024));
        memory.watch("under".into(), under.clone(), Some(u64::MAX));
        memory.watch("free".into(), process().0, None);
        let guard = tokio::spawn({
            let memory = memory.clone();
            async move { memory.guard().await }
        });
        let first = timeout(Duration::from_secs(30), killed.recv())
            .await
            .unwrap();
        assert_eq!(first, Some(Signal::SIGKILL));
        let again = timeout(LOOK * 3, killed.recv()).await;
        assert!(again.is_err(), "killed twice");
        assert!(spared.try_recv().is_err());
        guard.abort();
        let why = over.killed.lock().unwrap().clone().unwrap();
        assert!(why.contains("its limit is 0 MiB"), "{why}");
        assert!(under.killed.lock().unwrap().is_none());
    }
}
