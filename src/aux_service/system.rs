//! Specification of an auxiliary service.

use std::{
    collections::BTreeMap,
    fmt,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Label of every container, with the run's id as its value. A killed harness cannot stop its
/// containers; this finds them: `docker ps --filter label=meshproof.run`.
pub const LABEL: &str = "meshproof.run";

/// How to start an auxiliary service, from its image or as a program, with the same arguments.
///
/// In arguments and environment, `{address}` stands for the address to listen on, `{4317}` for the
/// port used for port 4317 (the same one in a container, which has all ports to itself; a free one
/// for a process), and `{data}` for the persistent directory.
#[derive(Debug, Clone)]
pub struct AuxServiceSpec {
    /// Its name in errors.
    pub name: String,
    /// Id of the run that it belongs to.
    pub run: String,
    pub image: Option<ContainerImage>,
    pub program: Option<HostProgram>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// TCP ports on which it serves.
    pub ports: Vec<u16>,
    /// The address of this machine on which the ports are published: loopback, unless others
    /// besides this process need them.
    pub listen: Ipv4Addr,
    /// The engine's network that a container joins, if not the default one.
    pub network: Option<String>,
    /// A directory that outlives it.
    pub data: Option<PathBuf>,
    pub ready: ReadinessCheck,
    /// Time limit for becoming ready, without pulling.
    pub deadline: Duration,
}

/// An image in a Docker engine.
#[derive(Debug, Clone)]
pub struct ContainerImage {
    /// With its tag or digest.
    pub name: String,
    /// Whether it may be pulled if the engine does not have it.
    pub pull: bool,
}

/// A program on this machine.
#[derive(Debug, Clone)]
pub struct HostProgram {
    pub path: PathBuf,
}

/// When a service counts as ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadinessCheck {
    /// A GET of this path on this port succeeds.
    Http { port: u16, path: String },
    /// A line of its log contains this text.
    Log(String),
}

impl fmt::Display for ReadinessCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { port, path } => write!(f, "success for {path} on port {port}"),
            Self::Log(text) => write!(f, "{text:?} in its log"),
        }
    }
}

/// An address at which a port can be reached from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The arguments and environment that a service is started with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StartArgs {
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

impl AuxServiceSpec {
    /// Arguments and environment with all placeholders filled in. `ports` maps a port of the
    /// service to the actual one.
    pub(super) fn filled(
        &self,
        address: &str,
        ports: &BTreeMap<u16, u16>,
        data: Option<&Path>,
    ) -> StartArgs {
        let data = data.map(|data| data.display().to_string());
        let fill = |text: &String| {
            let text = text
                .replace("{address}", address)
                .replace("{data}", data.as_deref().unwrap_or("{data}"));
            ports.iter().fold(text, |text, (port, place)| {
                text.replace(&format!("{{{port}}}"), &place.to_string())
            })
        };
        let env = self.env.iter();
        StartArgs {
            args: self.args.iter().map(fill).collect(),
            env: env.map(|(key, value)| (key.clone(), fill(value))).collect(),
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub fn system(program: &str, args: &[&str]) -> AuxServiceSpec {
        AuxServiceSpec {
            name: "side".to_owned(),
            run: "test".to_owned(),
            image: None,
            program: Some(HostProgram {
                path: program.into(),
            }),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            ports: Vec::new(),
            listen: Ipv4Addr::LOCALHOST,
            network: None,
            data: None,
            ready: ReadinessCheck::Log("ready".to_owned()),
            deadline: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn addresses_ports_and_directories_are_filled_in() {
        let mut system =
            testing::system("x", &["--listen={address}:{4317}", "{80}", "{443}", "{x}"]);
        system.env = vec![("{80}".to_owned(), "{data}/{80}".to_owned())];
        let ports = BTreeMap::from([(4317, 40_001), (80, 40_002)]);
        let message = system.filled("127.0.0.1", &ports, Some(Path::new("/d")));
        assert_eq!(
            message.args,
            ["--listen=127.0.0.1:40001", "40002", "{443}", "{x}"]
        );
        assert_eq!(message.env, [("{80}".to_owned(), "/d/40002".to_owned())]);
    }

    #[rstest]
    #[case("127.0.0.1", "127.0.0.1:80")]
    #[case("::1", "[::1]:80")]
    #[case("localhost", "localhost:80")]
    fn an_endpoint_reads_as_in_an_address_bar(#[case] host: &str, #[case] text: &str) {
        let host = host.to_owned();
        assert_eq!(Endpoint { host, port: 80 }.to_string(), text);
    }
}
