//! An auxiliary service as a process on this machine.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{AuxServiceError, AuxServiceSpec, Endpoint, HostProgram};

/// Time limit for reading the remaining output of an exited process.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Number of log lines that are kept.
const KEPT: usize = 2_000;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: Arc<Mutex<VecDeque<String>>>,
    /// The tasks that read its output.
    readers: TaskTracker,
    listen: Ipv4Addr,
    ports: BTreeMap<u16, u16>,
}

impl Process {
    /// Starts it on free ports of its listen address.
    pub fn start(system: &AuxServiceSpec, program: &HostProgram) -> Result<Self, AuxServiceError> {
        let ports =
            free_ports(system.listen, &system.ports).map_err(|source| AuxServiceError::Port {
                name: system.name.clone(),
                source,
            })?;
        let address = system.listen.to_string();
        let args = system.filled(&address, &ports, system.data.as_deref());
        let child = Command::new(&program.path)
            .args(args.args)
            .envs(args.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(|source| AuxServiceError::Program {
            name: system.name.clone(),
            path: program.path.clone(),
            source,
        })?;
        let (log, readers) = (Arc::default(), TaskTracker::new());
        keep(child.stdout.take(), &log, &readers);
        keep(child.stderr.take(), &log, &readers);
        readers.close();
        Ok(Self {
            child,
            log,
            readers,
            listen: system.listen,
            ports,
        })
    }

    pub fn endpoint(&self, port: u16) -> Option<Endpoint> {
        Some(Endpoint {
            host: self.listen.to_string(),
            port: *self.ports.get(&port)?,
        })
    }

    pub fn log(&self) -> String {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Its exit status, if it has exited; its log is then complete.
    pub async fn ended(&mut self) -> Option<String> {
        let how = match self.child.try_wait() {
            Ok(status) => status?.to_string(),
            Err(error) => error.to_string(),
        };
        let _ = timeout(LAST_WORDS, self.readers.wait()).await; // its children may still hold the pipe
        Some(how)
    }

    pub async fn stop(mut self) {
        let _ = self.child.kill().await; // fails only if it has already exited
    }
}

/// A free port for each. If another process takes one first, the service does not become ready, and
/// its log says so.
fn free_ports(address: Ipv4Addr, ports: &[u16]) -> std::io::Result<BTreeMap<u16, u16>> {
    let listen = |port: &u16| Ok((*port, TcpListener::bind((address, 0))?));
    let held: Vec<(u16, TcpListener)> = ports.iter().map(listen).collect::<std::io::Result<_>>()?;
    let numbers = held
        .iter()
        .map(|(port, held)| Ok((*port, held.local_addr()?.port())));
    numbers.collect()
}

fn keep(
    from: Option<impl AsyncRead + Unpin + Send + 'static>,
    log: &Arc<Mutex<VecDeque<String>>>,
    readers: &TaskTracker,
) {
    let (Some(from), log) = (from, log.clone()) else {
        return;
    };
    readers.spawn(async move {
        let mut lines = BufReader::new(from).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == KEPT {
                log.pop_front();
            }
            log.push_back(line);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_gets_one_of_its_own() {
        let ports = free_ports(Ipv4Addr::LOCALHOST, &[1, 2, 3]).unwrap();
        let mut places: Vec<u16> = ports.values().copied().collect();
        places.dedup();
        assert_eq!((ports.len(), places.len()), (3, 3));
    }
}
