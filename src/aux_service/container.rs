//! An auxiliary service as a container.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    path::Path,
};

use testcontainers::{
    ContainerAsync, ContainerRequest, GenericImage, ImageExt as _, TestcontainersError,
    bollard::{
        Docker,
        errors::Error,
        models::{HostConfig, PortBinding},
    },
    core::{IntoContainerPort as _, Mount, client::docker_client_instance},
    runners::AsyncRunner as _,
};
use tokio::runtime::Handle;

use super::{AuxServiceError, AuxServiceSpec, ContainerImage, Endpoint, LABEL, tail::tail};
use crate::errors::chain;

/// Network that is created for an auxiliary service if the engine has no default one, and removed
/// afterwards.
const NETWORK: &str = "meshproof-side";
/// Where a container mounts the persistent directory.
const DATA: &str = "/data";

/// A running container. Dropping it removes it.
pub(super) struct Container {
    /// Present until it is stopped.
    inner: Option<ContainerAsync<GenericImage>>,
    endpoints: BTreeMap<u16, Endpoint>,
    /// The runtime in which it was started, and is removed, wherever it is dropped.
    runtime: Handle,
}

impl Container {
    /// Starts it if the engine has its image or may pull it.
    pub async fn start(
        system: &AuxServiceSpec,
        image: &ContainerImage,
    ) -> Result<Self, AuxServiceError> {
        let engine = engine(system).await?;
        let network = match &system.network {
            None if lacks_bridge(&engine).await => Some(NETWORK.to_owned()),
            network => network.clone(),
        };
        let request = request(system, image, network);
        let request = match (has(&engine, system, image).await?, image.pull) {
            (true, _) => request,
            (false, false) => {
                return Err(AuxServiceError::NoImage {
                    name: system.name.clone(),
                    image: image.name.clone(),
                });
            }
            (false, true) => request
                .pull_image()
                .await
                .map_err(|error| AuxServiceError::Pull {
                    name: system.name.clone(),
                    image: image.name.clone(),
                    source: error.into(),
                })?,
        };
        let refused = |error: TestcontainersError| AuxServiceError::Container {
            name: system.name.clone(),
            source: error.into(),
        };
        let container = request.start().await.map_err(refused)?;
        let mut this = Self {
            inner: Some(container), // from here on, an error removes it
            endpoints: BTreeMap::new(),
            runtime: Handle::current(),
        };
        match this.find(system).await {
            Ok(endpoints) => this.endpoints = endpoints,
            // A container that has exited has no ports: report why it exited.
            Err(error) => {
                return Err(match this.ended().await {
                    Some(how) => AuxServiceError::Ended {
                        name: system.name.clone(),
                        how,
                        log: tail(&this.log().await),
                    },
                    None => refused(error),
                });
            }
        }
        Ok(this)
    }

    /// The endpoints at which the engine published its ports.
    async fn find(
        &self,
        system: &AuxServiceSpec,
    ) -> Result<BTreeMap<u16, Endpoint>, TestcontainersError> {
        let mut endpoints = BTreeMap::new();
        let Some(container) = &self.inner else {
            return Ok(endpoints);
        };
        let host = match system.listen.is_loopback() {
            true => container.get_host().await?.to_string(),
            false => system.listen.to_string(),
        };
        for port in &system.ports {
            let endpoint = Endpoint {
                host: host.clone(),
                port: container.get_host_port_ipv4(port.tcp()).await?,
            };
            endpoints.insert(*port, endpoint);
        }
        Ok(endpoints)
    }

    pub fn endpoint(&self, port: u16) -> Option<Endpoint> {
        self.endpoints.get(&port).cloned()
    }

    pub async fn log(&self) -> String {
        let Some(container) = &self.inner else {
            return String::new();
        };
        let (out, err) = (container.stdout_to_vec(), container.stderr_to_vec());
        let bytes = [out.await.unwrap_or_default(), err.await.unwrap_or_default()];
        String::from_utf8_lossy(&bytes.concat()).into_owned()
    }

    /// Its exit status, if it has exited.
    pub async fn ended(&self) -> Option<String> {
        let container = self.inner.as_ref()?;
        if container.is_running().await.unwrap_or(true) {
            return None; // if the engine cannot tell now, the next poll asks again
        }
        Some(match container.exit_code().await {
            Ok(Some(code)) => format!("exit code {code}"),
            _ => "no exit code".to_owned(),
        })
    }

    pub async fn stop(mut self) {
        if let Some(container) = self.inner.take()
            && let Err(error) = container.rm().await
        {
            tracing::warn!(%error, "cannot remove the container of an auxiliary service");
        }
    }
}

impl Drop for Container {
    /// Removal needs a runtime, which the dropping thread may not have.
    fn drop(&mut self) {
        let runtime = self.runtime.clone();
        let _entered = Handle::try_current().is_err().then(|| runtime.enter());
        drop(self.inner.take());
    }
}

/// Connects to the engine and checks that it responds.
async fn engine(system: &AuxServiceSpec) -> Result<Docker, AuxServiceError> {
    let none = |message: String| AuxServiceError::NoEngine {
        name: system.name.clone(),
        message,
    };
    let engine = docker_client_instance().await;
    let engine = engine.map_err(|error| none(chain(&error)))?;
    engine.ping().await.map_err(|error| none(chain(&error)))?;
    Ok(engine)
}

async fn has(
    engine: &Docker,
    system: &AuxServiceSpec,
    image: &ContainerImage,
) -> Result<bool, AuxServiceError> {
    match engine.inspect_image(&image.name).await {
        Ok(_) => Ok(true),
        Err(Error::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(false),
        Err(error) => Err(AuxServiceError::Container {
            name: system.name.clone(),
            source: error.into(),
        }),
    }
}

/// Whether the engine lacks its default network (`dockerd --bridge none`). It then publishes no
/// ports of a container that does not name a network.
async fn lacks_bridge(engine: &Docker) -> bool {
    let found = engine.inspect_network("bridge", None).await;
    matches!(
        found,
        Err(Error::DockerResponseServerError {
            status_code: 404,
            ..
        })
    )
}

fn request(
    system: &AuxServiceSpec,
    image: &ContainerImage,
    network: Option<String>,
) -> ContainerRequest<GenericImage> {
    let (name, tag) = split(&image.name);
    let same = system.ports.iter().map(|port| (*port, *port)).collect();
    let ports = system.ports.iter();
    let generic = ports.fold(GenericImage::new(name, tag), |image, port| {
        image.with_exposed_port(port.tcp())
    });
    let data = system.data.as_ref();
    let message = system.filled("0.0.0.0", &same, data.map(|_| Path::new(DATA)));
    let request = generic
        .with_cmd(message.args)
        .with_label(LABEL, &system.run)
        .with_startup_timeout(system.deadline);
    let env = message.env.into_iter();
    let mut request = env.fold(request, |request, (key, value)| {
        request.with_env_var(key, value)
    });
    if let Some(data) = data {
        request = request.with_mount(Mount::bind_mount(data.display().to_string(), DATA));
    }
    if let Some(network) = network {
        request = request.with_network(network);
    }
    match loopback() || !system.listen.is_loopback() {
        true => at(request, system.listen, &system.ports),
        false => request,
    }
}

/// Whether published ports are on this loopback: not if the engine is remote, or if this process
/// runs in a container.
fn loopback() -> bool {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    (host.is_empty() || host.starts_with("unix:")) && !Path::new("/.dockerenv").exists()
}

/// Publishes the ports on this address only: on loopback, only this machine can reach them.
fn at(
    request: ContainerRequest<GenericImage>,
    address: Ipv4Addr,
    ports: &[u16],
) -> ContainerRequest<GenericImage> {
    let ports = ports.to_vec();
    request.with_host_config_modifier(move |config: &mut HostConfig| {
        let place = || PortBinding {
            host_ip: Some(address.to_string()),
            host_port: None,
        };
        let each = ports
            .iter()
            .map(|port| (format!("{port}/tcp"), Some(vec![place()])));
        config.publish_all_ports = Some(false);
        config.port_bindings = Some(each.collect::<HashMap<_, _>>());
    })
}

/// Splits a reference into name and tag, or name with algorithm and digest; joined by a colon, they
/// give the reference again.
fn split(reference: &str) -> (&str, &str) {
    let last = reference.rfind('/').map_or(0, |slash| slash + 1);
    match reference[last..].rfind(':') {
        Some(colon) => (&reference[..last + colon], &reference[last + colon + 1..]),
        None => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("app", "app", "latest")]
    #[case("local/app:dev", "local/app", "dev")]
    #[case("localhost:5000/app", "localhost:5000/app", "latest")]
    #[case("localhost:5000/app@sha256:00", "localhost:5000/app@sha256", "00")]
    fn a_reference_is_split_at_its_tag(
        #[case] reference: &str,
        #[case] name: &str,
        #[case] tag: &str,
    ) {
        assert_eq!(split(reference), (name, tag));
    }
}
