//! The harness's side of a world: start one, find a kept one, end one.

use std::{
    convert::Infallible,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{sys::signal::Signal, unistd::Pid};
use tokio::{
    process::{Child, ChildStdin, Command},
    time::{Instant, timeout_at},
};

use super::{
    spec::{Origin, WorldSpec},
    state,
};
use crate::{
    errors::{Classified, ErrorClass},
    private_dir::NotPrivate,
    targets::local::limits::{self, TooLow},
    timeouts::{self, timeouts},
    wait::{self, Look},
};

/// An error starting, finding or ending a world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error(
        "cannot use the state directory {path}: {source}; set XDG_RUNTIME_DIR to another directory that you own, with mode 0700"
    )]
    State {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Directory(#[from] NotPrivate),
    #[error(
        "{path} is too long for a Unix socket in it; set XDG_RUNTIME_DIR to a shorter path, or choose a shorter name"
    )]
    LongPath { path: PathBuf },
    #[error(
        "the file system of {path} has {free} KiB left and a local target needs {expected}: free some space, or set XDG_RUNTIME_DIR to another directory"
    )]
    NoRoom {
        path: PathBuf,
        free: u64,
        expected: u64,
    },
    #[error(transparent)]
    Limit(#[from] TooLow),
    #[error(
        "{0:?} cannot be the name of a target: use at most 63 letters, digits, '-', '_' and '.', and start with a letter or digit"
    )]
    Name(String),
    #[error(
        "a local target called {name} is already up; use it (run --name {name}) or end it: meshproof target down --name {name}"
    )]
    AlreadyUp { name: String },
    #[error("no local target called {name} is up; start it: meshproof target up --name {name}")]
    NotUp { name: String },
    #[error("cannot start the local world")]
    Start(#[source] std::io::Error),
    /// With the world's own message.
    #[error("the local world ended: {0}")]
    Ended(String),
    #[error(
        "the local world {name} did not end within {seconds} s of SIGKILL; its directory {state} is still in use"
    )]
    Undead {
        name: String,
        state: PathBuf,
        seconds: u64,
    },
    #[error(
        "the local target {name} lives in another PID namespace (another container), where this command cannot end it: run it there"
    )]
    Elsewhere { name: String },
}

impl Classified for WorldError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Name(_)
            | Self::AlreadyUp { .. }
            | Self::NotUp { .. }
            | Self::Elsewhere { .. } => ErrorClass::Input,
            Self::Directory(error) => error.class(),
            Self::State { .. }
            | Self::LongPath { .. }
            | Self::NoRoom { .. }
            | Self::Limit(_)
            | Self::Start(_)
            | Self::Ended(_)
            | Self::Undead { .. } => ErrorClass::Machine,
        }
    }
}

/// Programs, images and name of a world to start.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Name of a world to keep; with `None`, it ends with this process.
    pub name: Option<String>,
    pub bins: PathBuf,
    pub envoy: PathBuf,
    pub envoy_version: String,
    pub bootstrap_template: PathBuf,
    /// Folder with Gateway API's CRDs.
    pub gateway_api: PathBuf,
    pub testbed: PathBuf,
    pub interop: PathBuf,
    /// Directory of Python packages with grpcio, if there is one.
    pub grpcio: Option<PathBuf>,
    /// Versions for the report, by component.
    pub versions: std::collections::BTreeMap<String, String>,
    pub images: Vec<String>,
    /// Directory of the program's cache, for snapshots; with `None`, none is read or written.
    pub cache: Option<PathBuf>,
}

/// A world, started here or found.
#[derive(Debug)]
pub struct World {
    pub spec: WorldSpec,
    /// Present if this process started it and it is not kept: dropping the lifeline ends it.
    own: Option<Own>,
}

/// What the harness keeps for a world that it started.
#[derive(Debug)]
struct Own {
    holder: Child,
    lifeline: Option<ChildStdin>,
    /// Marks the state directory as in use, until the holder does so itself.
    held: fs::File,
}

impl World {
    /// Checks that a world can be started here, before anything is prepared for it.
    ///
    /// # Errors
    /// [`WorldError`]: the obstacle and its remedy.
    pub fn preflight(name: Option<&str>) -> Result<(), WorldError> {
        name.map_or(Ok(()), check_name)?;
        limits::for_a_world()?;
        state::room(&state::root_directory()?)
    }

    /// Starts a world and returns at once: the API server is not up yet.
    ///
    /// # Errors
    /// [`WorldError`], with nothing left behind.
    pub fn launch(options: WorldOptions, origin: Origin) -> Result<Self, WorldError> {
        let kept = options.name.is_some();
        let name = options
            .name
            .clone()
            .unwrap_or_else(|| format!("run-{}", std::process::id()));
        Self::preflight(Some(&name))?;
        let state::NewStateDirectory { path: state, held } = state::make(&name)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(WorldError::Start)?;
        let api_port = listener.local_addr().map_err(WorldError::Start)?.port();
        let spec = WorldSpec {
            name,
            state,
            bins: options.bins,
            envoy: options.envoy,
            envoy_version: options.envoy_version,
            bootstrap_template: options.bootstrap_template,
            testbed: options.testbed,
            interop: options.interop,
            grpcio: options.grpcio,
            versions: options.versions,
            images: options.images,
            api_port,
            origin,
            kept,
            timeout_scale: timeouts::scale(),
        };
        spec.write().map_err(|source| WorldError::State {
            path: spec.state.clone(),
            source,
        })?;
        let mut holder =
            spawn_holder(&spec, listener).inspect_err(|_| drop(fs::remove_dir_all(&spec.state)))?;
        let lifeline = holder.stdin.take();
        let own = Own {
            holder,
            lifeline,
            held,
        };
        Ok(Self {
            spec,
            own: Some(own),
        })
    }

    /// Finds a kept world by name.
    ///
    /// # Errors
    /// [`WorldError::NotUp`]; [`WorldError::State`] if this cannot be determined.
    pub fn find(name: &str) -> Result<Self, WorldError> {
        check_name(name)?;
        for root in state::roots() {
            if let Some(world) = Self::living(&root.join(name))? {
                return Ok(world);
            }
        }
        Err(WorldError::NotUp {
            name: name.to_owned(),
        })
    }

    /// The world in that directory, if it is alive.
    fn living(state: &Path) -> Result<Option<Self>, WorldError> {
        let failed = |source| WorldError::State {
            path: state.to_owned(),
            source,
        };
        if !state::is_held(state).map_err(failed)? {
            return Ok(None);
        }
        match WorldSpec::read(state) {
            Ok(spec) => Ok(Some(Self { spec, own: None })),
            // Just being created, or just removed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Every world of this user that is alive.
    pub fn all() -> Vec<Self> {
        let roots = state::roots().into_iter();
        let entries = roots.flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten());
        let mut worlds: Vec<Self> = entries
            .filter_map(|entry| Self::living(&entry.path()).ok().flatten())
            .collect();
        worlds.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        worlds
    }

    /// PID 1 of the world as seen from this PID namespace; `None` if it is not visible here, or
    /// has ended.
    pub fn init_pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.spec.init_pid()).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        // A later process with the same number must not be mistaken for it.
        state::has_role(&self.spec.state, pid, "__init").then(|| Pid::from_raw(pid))
    }

    /// Returns when the world has ended on its own, with the reason.
    pub async fn ended(&mut self) -> WorldError {
        if let Some(own) = &mut self.own {
            let _ = own.holder.wait().await;
        } else {
            // No time limit.
            let _ = wait::until(Duration::MAX, async |_| Self::is_over(&self.spec.state)).await;
        }
        WorldError::Ended(self.last_words())
    }

    /// A check that fails (no free file descriptor) does not mean that the world has ended.
    fn is_over(state: &Path) -> Result<Look<()>, Infallible> {
        Ok(match state::is_held(state).unwrap_or(true) {
            true => Look::Unmet(format!("{} is still in use", state.display())),
            false => Look::Met(()),
        })
    }

    /// What the world reported when it ended.
    fn last_words(&self) -> String {
        let failure = fs::read_to_string(self.spec.failure()).unwrap_or_default();
        let log = super::daemons::tail(&self.spec.state.join("world.log"), 10);
        let message = if failure.is_empty() { log } else { failure };
        if !message.is_empty() {
            return message;
        }
        // Without space, the reason could not be written.
        match state::free(&self.spec.state) {
            Some(free) if free < 64 * 1024 => format!(
                "the file system of {} is full, so the reason could not be written",
                self.spec.state.display()
            ),
            _ => "it was killed".to_owned(),
        }
    }

    /// Lets the world continue without this process (kept worlds only).
    pub fn detach(mut self) {
        // The holder of a kept world does not read this pipe, and holds the directory itself.
        drop(self.own.take());
    }

    /// Ends the world and waits until nothing of it is left.
    ///
    /// # Errors
    /// [`WorldError::Undead`] if the kernel does not end it in time.
    pub async fn shut_down(mut self) -> Result<(), WorldError> {
        let limit = timeouts().target.world_end;
        let state = self.spec.state.clone();
        let kept = self.own.is_none();
        match self.init_pid() {
            Some(init) => drop(nix::sys::signal::kill(init, Signal::SIGKILL)),
            None if kept && state::is_held(&state).unwrap_or(true) => {
                let name = self.spec.name.clone();
                return Err(WorldError::Elsewhere { name });
            }
            None => {}
        }
        let deadline = Instant::now() + limit;
        if let Some(mut own) = self.own.take() {
            drop((own.lifeline, own.held));
            let _ = timeout_at(deadline, own.holder.wait()).await;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let over = wait::until(left, async |_| Self::is_over(&state));
        if over.await.is_err() {
            return Err(WorldError::Undead {
                name: self.spec.name.clone(),
                state,
                seconds: limit.as_secs(),
            });
        }
        // The holder has removed it, unless the world failed on its own.
        let _ = fs::remove_dir_all(&state);
        Ok(())
    }
}

/// A name becomes part of paths: it must not lead anywhere else.
fn check_name(name: &str) -> Result<(), WorldError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = name.chars().all(plain)
        && name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if good {
        Ok(())
    } else {
        Err(WorldError::Name(name.to_owned()))
    }
}

fn spawn_holder(spec: &WorldSpec, listener: TcpListener) -> Result<Child, WorldError> {
    let start = WorldError::Start;
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
