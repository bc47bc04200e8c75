//! The harness's side of a world: start one, find one that is kept, end one.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{sys::signal::Signal, unistd::Pid};
use tokio::{
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep, timeout},
};

use super::{
    spec::WorldSpec,
    state::{self, root_directory},
};

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error(
        "cannot make the state directory {path}: {source}; it lies under $XDG_RUNTIME_DIR (else /tmp), which has to be a writable directory"
    )]
    State {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "a local target called {name} is already up; use it (run --name {name}) or end it: meshproof target down --name {name}"
    )]
    AlreadyUp { name: String },
    #[error("no local target called {name} is up; start it: meshproof target up --name {name}")]
    NotUp { name: String },
    #[error("cannot start the local world: {0}")]
    Start(String),
    #[error("the local world ended: {0}")]
    Ended(String),
    #[error("the local world {name} (process {pid}) did not end within {seconds} s of SIGKILL")]
    Undead {
        name: String,
        pid: i32,
        seconds: u64,
    },
}

/// Programs, images and name of a world to be.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Name of a world to keep; `None`: it ends with this process.
    pub name: Option<String>,
    pub bins: PathBuf,
    pub envoy: PathBuf,
    pub envoy_version: String,
    pub bootstrap_template: PathBuf,
    /// Folder with Gateway API's CRDs.
    pub gateway_api: PathBuf,
    pub testbed: PathBuf,
    pub witnesses: PathBuf,
    /// Directory of Python packages with grpcio, where there is one.
    pub grpcio: Option<PathBuf>,
    /// Versions for the report, by component.
    pub versions: std::collections::BTreeMap<String, String>,
    pub images: Vec<String>,
}

/// A world, started here or found.
#[derive(Debug)]
pub struct World {
    pub spec: WorldSpec,
    /// Present when this process started it and it is not kept: dropping the lifeline ends it.
    own: Option<(Child, Option<ChildStdin>)>,
}

impl World {
    /// Starts a world and returns at once: the API server is not up yet.
    ///
    /// # Errors
    /// [`WorldError`], with nothing left behind.
    pub fn launch(options: WorldOptions) -> Result<Self, WorldError> {
        let kept = options.name.is_some();
        let name = options
            .name
            .clone()
            .unwrap_or_else(|| format!("run-{}", std::process::id()));
        let state = state::make(&name)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| WorldError::Start(error.to_string()))?;
        let api_port = listener
            .local_addr()
            .map_err(|error| WorldError::Start(error.to_string()))?
            .port();
        let spec = WorldSpec {
            name,
            state,
            bins: options.bins,
            envoy: options.envoy,
            envoy_version: options.envoy_version,
            bootstrap_template: options.bootstrap_template,
            testbed: options.testbed,
            witnesses: options.witnesses,
            grpcio: options.grpcio,
            versions: options.versions,
            images: options.images,
            api_port,
            kept,
        };
        spec.write().map_err(|source| WorldError::State {
            path: spec.state.clone(),
            source,
        })?;
        let mut child =
            spawn_holder(&spec, listener).inspect_err(|_| drop(fs::remove_dir_all(&spec.state)))?;
        let lifeline = child.stdin.take();
        Ok(Self {
            spec,
            own: Some((child, lifeline)),
        })
    }

    /// Finds a kept world by name.
    ///
    /// # Errors
    /// [`WorldError::NotUp`].
    pub fn find(name: &str) -> Result<Self, WorldError> {
        let state = root_directory().join(name);
        let spec = WorldSpec::read(&state)
            .ok()
            .filter(|spec| init_of(spec).is_some());
        let spec = spec.ok_or_else(|| WorldError::NotUp {
            name: name.to_owned(),
        })?;
        Ok(Self { spec, own: None })
    }

    /// Every world of this user that is alive.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir(root_directory())
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut worlds: Vec<Self> = names.filter_map(|name| Self::find(&name).ok()).collect();
        worlds.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        worlds
    }

    /// PID 1 of the world as the host counts it.
    pub fn init_pid(&self) -> Option<Pid> {
        init_of(&self.spec)
    }

    /// Returns when the world has ended by itself, with the reason.
    pub async fn ended(&mut self) -> WorldError {
        if let Some((child, _)) = &mut self.own {
            let _ = child.wait().await;
        } else {
            while self.init_pid().is_some() {
                sleep(Duration::from_millis(200)).await;
            }
        }
        WorldError::Ended(self.last_words())
    }

    /// What the world said when it ended.
    fn last_words(&self) -> String {
        let failure = fs::read_to_string(self.spec.failure()).unwrap_or_default();
        let log = super::daemons::tail(&self.spec.state.join("world.log"), 10);
        let words = if failure.is_empty() { log } else { failure };
        if words.is_empty() {
            "it was killed".to_owned()
        } else {
            words
        }
    }

    /// Lets the world go on without this process (a kept one only).
    pub fn detach(mut self) {
        if let Some((child, lifeline)) = self.own.take() {
            // The holder of a kept world does not read this pipe.
            drop(lifeline);
            drop(child);
        }
    }

    /// Ends the world and waits until nothing of it is left.
    ///
    /// # Errors
    /// [`WorldError::Undead`] when the kernel does not end it in time.
    pub async fn shut_down(mut self) -> Result<(), WorldError> {
        const SECONDS: u64 = 20;
        let init = self.init_pid();
        let holder = process(&self.spec, &self.spec.holder_pid(), "__world");
        if let Some(init) = init {
            let _ = nix::sys::signal::kill(init, Signal::SIGKILL);
        }
        if let Some((mut child, lifeline)) = self.own.take() {
            drop(lifeline);
            let _ = timeout(Duration::from_secs(SECONDS), child.wait()).await;
        }
        let deadline = Instant::now() + Duration::from_secs(SECONDS);
        for (pid, role) in [(init, "__init"), (holder, "__world")] {
            let Some(pid) = pid else { continue };
            while state::has_role(&self.spec.state, pid.as_raw(), role) {
                if Instant::now() > deadline {
                    let (name, pid) = (self.spec.name.clone(), pid.as_raw());
                    return Err(WorldError::Undead {
                        name,
                        pid,
                        seconds: SECONDS,
                    });
                }
                sleep(Duration::from_millis(10)).await;
            }
        }
        // The holder has removed it; it does not when the world failed by itself.
        let _ = fs::remove_dir_all(&self.spec.state);
        Ok(())
    }
}

/// PID 1 of the world.
fn init_of(spec: &WorldSpec) -> Option<Pid> {
    process(spec, &spec.init_pid(), "__init")
}

/// A process of the world by its pid file, checked to be ours and not a later process with the same number.
fn process(spec: &WorldSpec, file: &Path, role: &str) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    state::has_role(&spec.state, pid, role).then(|| Pid::from_raw(pid))
}

fn spawn_holder(spec: &WorldSpec, listener: TcpListener) -> Result<Child, WorldError> {
    let start = |error: std::io::Error| WorldError::Start(error.to_string());
    let exe = std::env::current_exe().map_err(start)?;
    let log = fs::File::create(spec.state.join("world.log")).map_err(start)?;
    Command::new(exe)
        .arg("__world")
        .arg(&spec.state)
        .stdin(if spec.kept {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(std::os::fd::OwnedFd::from(listener))
        .stderr(log)
        .spawn()
        .map_err(start)
}
