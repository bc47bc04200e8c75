//! The programs that speak the control protocol: where they are, how each is started, and which
//! features each supports.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
};

use meshproof::toolchain::{
    self, EnvoyVersion, PrepareOptions, SetState, Use, grpcio::INTERPRETER,
};
use testbed::{
    caller,
    control::Info,
    server::{self, ServiceName},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use super::port::Port;

/// Programming language of an implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implementation {
    /// This repository's test bed.
    Rust,
    /// `tools/interop`: grpc-go.
    Go,
    /// `fixtures/python/caller.py`: grpcio.
    Python,
}

/// Features that a caller may support beyond single gRPC calls in plain text, which all support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    Tls,
    Summary,
    TimedRun,
    GrpcWeb,
    NumberedStream,
    Padding,
    /// `POST /v1/finish`.
    Finish,
}

impl Implementation {
    /// Features that its caller supports. It must reject all others.
    pub fn offers(self) -> &'static [Feature] {
        use Feature::{Finish, GrpcWeb, NumberedStream, Padding, Summary, TimedRun, Tls};
        match self {
            Self::Rust => &[
                Tls,
                Summary,
                TimedRun,
                GrpcWeb,
                NumberedStream,
                Padding,
                Finish,
            ],
            Self::Go => &[Tls],
            Self::Python => &[],
        }
    }

    /// Whether its server executes every script and supports all control requests of a server.
    pub fn server_is_complete(self) -> bool {
        self == Self::Rust
    }

    /// Starts a caller that waits for plans. `None` if its program is not available, which is
    /// then reported.
    pub async fn caller(self) -> Option<Caller> {
        let (port, ended) = match self {
            Self::Rust => {
                let running = caller::start(identity("caller"), loopback()).await;
                (Port(running.expect("it listens").control), None)
            }
            Self::Go => {
                let mut program = interop("caller", &[])?;
                let control = program.address("msg=listening address=127.0.0.1:").await;
                (Port(control), Some(program))
            }
            Self::Python => {
                let mut program = grpcio()?;
                let control = program.address("listening on port ").await;
                (Port(control), Some(program))
            }
        };
        Some(Caller {
            port,
            _program: ended,
        })
    }

    /// Starts a server of the test services; `None` as for [`Self::caller`].
    pub async fn server(self) -> Option<Server> {
        match self {
            Self::Rust => {
                let running = server::start(options()).await.expect("it listens");
                Some(Server {
                    address: running.addresses[0],
                    port: Port(running.control),
                    _program: None,
                })
            }
            Self::Go => {
                let mut program = interop("server", &["--port", "0"])?;
                let serving = program.address("msg=serving address=[::]:").await;
                let control = program.address("msg=listening address=127.0.0.1:").await;
                Some(Server {
                    address: SocketAddr::from((Ipv4Addr::LOCALHOST, serving.port())),
                    port: Port(control),
                    _program: Some(program),
                })
            }
            Self::Python => panic!("there is no server in Python"),
        }
    }
}

/// A running caller; dropping it ends it.
pub struct Caller {
    pub port: Port,
    _program: Option<Program>,
}

/// A running server; dropping it ends it.
pub struct Server {
    /// Address for calls.
    pub address: SocketAddr,
    pub port: Port,
    _program: Option<Program>,
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Identity that each program is given.
pub fn identity(role: &str) -> Info {
    Info {
        role: role.into(),
        pod: format!("{role}-a"),
        namespace: "mp-one".into(),
        uid: "7c1f".into(),
        workload: format!("{role}-v2"),
        version: "v2".into(),
    }
}

fn options() -> server::ServerOptions {
    server::ServerOptions {
        bind: Ipv4Addr::LOCALHOST.into(),
        ports: vec![0],
        control: loopback(),
        services: vec![ServiceName::Greeter, ServiceName::User, ServiceName::Order],
        info: identity("server"),
        max_connection_age: None,
        max_connection_age_grace: None,
        max_concurrent_streams: 100,
        tls: None,
        tls_names: Vec::new(),
        http_fallback: true,
    }
}

/// A separate program, and its output.
struct Program {
    _child: Child,
    answer: Lines<BufReader<ChildStderr>>,
    all: String,
    _protoset: tempfile::TempDir,
}

impl Program {
    fn start(command: &mut Command, role: &str) -> Self {
        let protoset = tempfile::tempdir().expect("a directory");
        let file = protoset.path().join("mypackage.binpb");
        std::fs::write(&file, testbed::proto::DESCRIPTORS).expect("it can be written");
        let who = identity(role);
        command
            .envs([
                ("POD_NAME", &who.pod),
                ("POD_NAMESPACE", &who.namespace),
                ("POD_UID", &who.uid),
                ("WORKLOAD", &who.workload),
                ("VERSION", &who.version),
            ])
            .env("PROTOSET", &file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if command.as_std().get_args().any(|word| word == "--protoset") {
            command.arg(&file);
        }
        let mut child = command.spawn().expect("it starts");
        let answer = child.stderr.take().expect("it is piped");
        Self {
            _child: child,
            answer: BufReader::new(answer).lines(),
            all: String::new(),
            _protoset: protoset,
        }
    }

    /// Waits for the port whose digits follow `words` in the program's output.
    async fn address(&mut self, message: &str) -> SocketAddr {
        let port = |text: &str| {
            let rest = text.split_once(message)?.1;
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            rest[..digits].parse::<u16>().ok()
        };
        loop {
            if let Some(port) = port(&self.all) {
                return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            }
            match self.answer.next_line().await.expect("text") {
                Some(line) => self.all += &format!("{line}\n"),
                None => panic!(
                    "the program ended without printing {message:?}:\n{}",
                    self.all
                ),
            }
        }
    }
}

fn interop(role: &str, args: &[&str]) -> Option<Program> {
    let program = there("tools/interop", programs())?.join("interop");
    let mut command = Command::new(program);
    // The address for probes differs from that of the control port, so that they can be
    // distinguished.
    command.args([role, "--control", "127.0.0.1:0", "--ready", "127.0.0.2:0"]);
    command.args(args).arg("--protoset");
    Some(Program::start(&mut command, role))
}

fn grpcio() -> Option<Program> {
    let packages = there("fixtures/python/caller.py", packages())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/python/caller.py");
    let mut command = Command::new(INTERPRETER);
    command.arg("-u").arg(script);
    command.env("PYTHONPATH", packages);
    command.envs([("CONTROL_PORT", "0"), ("READY_PORT", "0")]);
    Some(Program::start(&mut command, "caller"))
}

/// Returns the program if it was found. Otherwise reports it, and panics if all programs are
/// required.
fn there(what: &str, found: Result<PathBuf, String>) -> Option<PathBuf> {
    match found {
        Ok(path) => Some(path),
        Err(message) if env::var_os("MESHPROOF_ALL_IMPLEMENTATIONS").is_some() => {
            panic!("cannot test {what} against the protocol: {message}")
        }
        Err(message) => {
            eprintln!("SKIPPED: {what} is not tested against the protocol: {message}");
            None
        }
    }
}

const PREPARE: &str = "`meshproof toolchain prepare` builds it";

fn options_of_the_tool_chain() -> Result<PrepareOptions, String> {
    PrepareOptions::new(EnvoyVersion::default()).map_err(|error| error.to_string())
}

/// The directory of the Go programs, built from the current sources.
fn programs() -> Result<PathBuf, String> {
    let status = toolchain::status(&options_of_the_tool_chain()?);
    let sets = status.map_err(|error| error.to_string())?.sets;
    let mut sets = sets.into_iter().filter(|set| set.name == "interop");
    let set = sets.next().ok_or("the tool chain has no such set")?;
    match set.state {
        SetState::Ready { .. } => Ok(set.path.join("bin")),
        other => Err(format!("its program is missing ({other:?}); {PREPARE}")),
    }
}

/// The directory of the Python packages that are pinned for the machine's Python version.
fn packages() -> Result<PathBuf, String> {
    let stored = toolchain::stored(&options_of_the_tool_chain()?.cache, &[]);
    let stored = stored.map_err(|error| error.to_string())?;
    let mut sets = stored
        .into_iter()
        .filter(|set| set.name.starts_with("grpcio-") && set.used == Use::Pinned);
    let set = sets.next();
    let set = set.ok_or_else(|| format!("grpcio for {INTERPRETER} is missing; {PREPARE}"))?;
    Ok(set.path.join("lib"))
}
