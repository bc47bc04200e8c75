//! Registry mirrors for the nodes of a kind cluster: the user's, or a pull-through cache that
//! meshproof runs, so that the next cluster does not wait for the network.

use std::{fmt, net::Ipv4Addr, path::PathBuf, str::FromStr};

use super::{error::KindError, program::ContainerTool};
use crate::{
    aux_service::{
        AuxService, AuxServiceSpec, ContainerImage, HostProgram as SideProgram, ReadinessCheck,
    },
    errors::chain,
    timeouts::timeouts,
};

/// The Docker network of kind clusters.
const NETWORK: &str = "kind";
/// Port of meshproof's registries.
const PORT: u16 = 5000;
/// The image of the CNCF distribution registry.
const IMAGE: &str = "registry:3";

/// The containerd configuration that enables mirrors (containerd docs, "Registry Configuration").
pub const CONTAINERD_PATCH: &str = "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n";

/// One `--registry-mirror`: `HOST` caches what is pulled from there in a registry that meshproof
/// runs; `HOST=URL` pulls from the URL instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry as it appears in image names.
    pub host: String,
    /// Where to pull from instead.
    pub url: Option<String>,
}

/// An invalid `--registry-mirror`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMirror {
    #[error(
        "invalid registry {host:?}; write its host as in image names, such as docker.io or localhost:5000"
    )]
    Host { host: String },
    #[error("invalid registry URL {url:?}; write http://… or https://…")]
    Url { url: String },
}

impl FromStr for Mirror {
    type Err = NoMirror;

    fn from_str(given: &str) -> Result<Self, NoMirror> {
        let (host, url) = match given.split_once('=') {
            Some((host, url)) => (host, Some(url.to_owned())),
            None => (given, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            let host = host.to_owned();
            return Err(NoMirror::Host { host });
        }
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        match url {
            Some(url) if !is_url(&url) => Err(NoMirror::Url { url }),
            url => Ok(Self {
                host: host.to_owned(),
                url,
            }),
        }
    }
}

/// As on the command line.
impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) => write!(f, "{}={url}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Mirror {
    /// The registry's URL. `docker.io` names the index, not the registry.
    fn upstream(&self) -> String {
        match self.host.as_str() {
            "docker.io" => "https://registry-1.docker.io".to_owned(),
            host if self.is_here() => format!("http://{host}"),
            host => format!("https://{host}"),
        }
    }

    /// Whether the registry is on this machine's loopback, which no container can reach.
    fn is_here(&self) -> bool {
        let name = self.host.split(':').next().unwrap_or_default();
        name == "localhost" || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
    }

    /// `hosts.toml` for the nodes: the mirror first, then the registry itself if nodes can reach
    /// it.
    fn hosts_toml(&self, url: &str) -> String {
        let server = match self.is_here() {
            true => String::new(),
            false => format!("server = {:?}\n\n", self.upstream()),
        };
        format!("{server}[host.{url:?}]\n  capabilities = [\"pull\", \"resolve\"]\n")
    }
}

/// How to run pull-through registries.
#[derive(Debug, Clone)]
pub struct Own {
    /// The registry program, if the tool chain has it; used when the image is unavailable.
    pub program: Option<PathBuf>,
    /// Directory below which each registry stores what it has pulled.
    pub kept: PathBuf,
}

/// Starts the pull-through registries and configures every node to use all mirrors. The registries
/// stop when the returned value is dropped; nodes then pull from the upstream registries.
///
/// # Errors
/// A registry does not start, or a node cannot be configured.
pub async fn start(
    kind: &ContainerTool,
    cluster: &str,
    mirrors: &[Mirror],
    own: &Own,
) -> Result<Vec<AuxService>, KindError> {
    let mut sides = Vec::new();
    if mirrors.is_empty() {
        return Ok(sides);
    }
    let nodes = kind
        .run(
            &["get", "nodes", "--name", cluster],
            timeouts().target.kind_question,
        )
        .await?;
    for mirror in mirrors {
        let url = match &mirror.url {
            Some(url) => url.clone(),
            None => {
                let (side, url) = run(mirror, cluster, own).await?;
                sides.push(side);
                url
            }
        };
        for node in nodes.lines() {
            configure_node(node, mirror, &mirror.hosts_toml(&url)).await?;
        }
    }
    Ok(sides)
}

/// Starts a pull-through registry; returns it with its URL for the nodes.
async fn run(mirror: &Mirror, cluster: &str, own: &Own) -> Result<(AuxService, String), KindError> {
    let data = own.kept.join(mirror.host.replace(':', "-"));
    let config = data.join("config.yml");
    let text = "version: 0.1\nstorage: {filesystem: {}}\nhttp: {}\n"; // the rest is in the environment
    std::fs::create_dir_all(&data)
        .and_then(|()| std::fs::write(&config, text))
        .map_err(|source| KindError::Write {
            path: config,
            source,
        })?;
    let upstream = mirror.upstream();
    let upstream = match answers(&upstream).await {
        Ok(()) => Some(upstream),
        Err(error) => {
            let message = chain(&error);
            tracing::warn!(%upstream, %message, "the registry does not respond; its mirror serves only what it already has");
            None
        }
    };
    let system = AuxServiceSpec {
        name: format!("the mirror of {}", mirror.host),
        run: cluster.to_owned(),
        image: (!mirror.is_here()).then(|| ContainerImage {
            name: IMAGE.to_owned(),
            pull: true,
        }),
        program: own.program.clone().map(|path| SideProgram { path }),
        args: ["serve", "{data}/config.yml"].map(str::to_owned).into(),
        env: environment(upstream.as_deref()),
        ports: vec![PORT],
        listen: gateway().await?,
        network: Some(NETWORK.to_owned()),
        data: Some(data),
        ready: ReadinessCheck::Http {
            port: PORT,
            path: "/v2/".to_owned(),
        },
        deadline: timeouts().target.registry_start,
    };
    let side = AuxService::start(&system)
        .await
        .map_err(KindError::Mirror)?;
    let url = side
        .endpoint(PORT)
        .map(|endpoint| format!("http://{endpoint}"));
    Ok((side, url.unwrap_or_default()))
}

/// Registry settings as environment variables, one per configuration field (distribution docs,
/// "Configuring a registry").
fn environment(upstream: Option<&str>) -> Vec<(String, String)> {
    let address = format!("{{address}}:{{{PORT}}}");
    let always = [
        ("REGISTRY_HTTP_ADDR", address.as_str()),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "{data}"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ];
    let proxy = upstream.map(|upstream| ("REGISTRY_PROXY_REMOTEURL", upstream));
    let all = always.into_iter().chain(proxy);
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Checks that a registry responds. distribution does not start if its upstream does not respond.
async fn answers(upstream: &str) -> reqwest::Result<()> {
    let limit = timeouts().target.registry;
    let client = reqwest::Client::builder().timeout(limit).build()?;
    let asked = client.get(format!("{upstream}/v2/")).send();
    asked.await.map(drop) // an error status is fine too: the registry asks for a token
}

/// This machine's address as the nodes can reach it.
async fn gateway() -> Result<Ipv4Addr, KindError> {
    let format = "{{range .IPAM.Config}}{{.Gateway}}\n{{end}}";
    let args = ["network", "inspect", NETWORK, "--format", format];
    let answer = ContainerTool::docker()?
        .run(&args, timeouts().target.kind_question)
        .await?;
    let found = answer.lines().find_map(|line| line.trim().parse().ok());
    found.ok_or_else(|| KindError::Failed {
        what: format!("docker {}", args.join(" ")),
        cause: "the network has no IPv4 gateway".to_owned(),
        output: answer,
    })
}

async fn configure_node(node: &str, mirror: &Mirror, hosts_toml: &str) -> Result<(), KindError> {
    let script = "mkdir -p \"$1\" && printf %s \"$2\" > \"$1/hosts.toml\"";
    let dir = format!("/etc/containerd/certs.d/{}", mirror.host);
    let args = ["exec", node, "sh", "-c", script, "sh", &dir, hosts_toml];
    ContainerTool::docker()?
        .run(&args, timeouts().target.kind_question)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("docker.io", Ok(("docker.io", None)))]
    #[case("localhost:5001", Ok(("localhost:5001", None)))]
    #[case("gcr.io=http://mirror:5000", Ok(("gcr.io", Some("http://mirror:5000"))))]
    #[case("", Err("invalid registry \""))]
    #[case("docker.io/istio", Err("invalid registry \""))]
    #[case("docker.io=mirror:5000", Err("invalid registry URL"))]
    fn mirrors_are_read(#[case] given: &str, #[case] expected: Result<(&str, Option<&str>), &str>) {
        let read = given.parse::<Mirror>();
        match (read, expected) {
            (Ok(mirror), Ok(expected)) => {
                assert_eq!((mirror.host.as_str(), mirror.url.as_deref()), expected);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (read, _) => panic!("{given}: {read:?}"),
        }
    }

    #[rstest]
    #[case(
        "docker.io",
        "server = \"https://registry-1.docker.io\"\n\n[host.\"http://m\"]\n"
    )]
    #[case("gcr.io", "server = \"https://gcr.io\"\n\n[host.\"http://m\"]\n")]
    #[case("localhost:5001", "[host.\"http://m\"]\n")]
    fn nodes_fall_back_to_what_they_can_reach(#[case] host: &str, #[case] begins: &str) {
        let mirror: Mirror = host.parse().unwrap();
        let text = mirror.hosts_toml("http://m");
        assert!(text.starts_with(begins), "{text}");
    }
}
