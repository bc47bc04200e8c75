//! What a side system is made of.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// Label of every container, with the run's identity as its value. A harness that is killed cannot stop its containers; this finds
/// them: `docker ps --filter label=meshproof.run`.
pub const LABEL: &str = "meshproof.run";

/// A side system to be. It is started from its image or as its program, with the same arguments.
///
/// In arguments `{address}` stands for the address to listen on, and `{4317}` for the port that takes the place of port 4317: the same
/// in a container, which has all ports to itself, a free one for a process.
#[derive(Debug, Clone)]
pub struct System {
    /// What to call it in errors.
    pub name: String,
    /// Identity of the run that it belongs to.
    pub run: String,
    pub image: Option<Image>,
    pub program: Option<Program>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// TCP ports on which it serves.
    pub ports: Vec<u16>,
    pub ready: Ready,
    /// How long it may take to be ready. Pulling is not counted.
    pub deadline: Duration,
}

/// An image in a Docker engine.
#[derive(Debug, Clone)]
pub struct Image {
    /// With its tag or digest.
    pub name: String,
    /// Whether it may be pulled when the engine has none of this name.
    pub pull: bool,
}

/// A program on this machine.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
}

/// When a system takes work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// A GET of this path on this port is answered with success.
    Http { port: u16, path: String },
    /// A line of its log contains this text.
    Log(String),
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { port, path } => write!(f, "success for {path} on port {port}"),
            Self::Log(text) => write!(f, "{text:?} in its log"),
        }
    }
}

/// Where a port can be reached from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
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

impl System {
    /// The arguments with addresses and ports filled in. `ports` leads from a port of the system to the one that takes its place.
    pub(super) fn filled(&self, address: &str, ports: &BTreeMap<u16, u16>) -> Vec<String> {
        let fill = |arg: &String| {
            let with_address = arg.replace("{address}", address);
            ports.iter().fold(with_address, |arg, (port, place)| {
                arg.replace(&format!("{{{port}}}"), &place.to_string())
            })
        };
        self.args.iter().map(fill).collect()
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub fn system(program: &str, args: &[&str]) -> System {
        System {
            name: "side".to_owned(),
            run: "test".to_owned(),
            image: None,
            program: Some(Program {
                path: program.into(),
            }),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            ports: Vec::new(),
            ready: Ready::Log("ready".to_owned()),
            deadline: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn addresses_and_ports_are_filled_in() {
        let system = testing::system("x", &["--listen={address}:{4317}", "{80}", "{443}", "{x}"]);
        let ports = BTreeMap::from([(4317, 40_001), (80, 40_002)]);
        assert_eq!(
            system.filled("127.0.0.1", &ports),
            ["--listen=127.0.0.1:40001", "40002", "{443}", "{x}"]
        );
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
