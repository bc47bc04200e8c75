//! The program of a pod: the test bed's caller or server, according to the arguments of its
//! container.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Parser;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use testbed::{
    caller,
    control::{CONTROL_PORT, Info},
    server::{self, Ledger, ServerArgs, ServerOptions},
};

use crate::{cluster::pods, fixture::workload::WORKLOAD_LABEL};

/// Arguments of `testbed server`.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct ServerCommand {
    #[command(flatten)]
    server: ServerArgs,
}

/// A running program.
pub enum InMemoryProgram {
    Caller(caller::CallerHandle),
    Server(server::ServerHandle),
}

impl InMemoryProgram {
    /// Starts the program of a pod's first container on the pod's address.
    pub async fn start(pod: &Pod, address: Ipv4Addr) -> Self {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut args = containers.flat_map(|one| one.args.clone().unwrap_or_default());
        let control = SocketAddr::from((address, CONTROL_PORT));
        let role = args.next().expect("`caller` or `server`");
        match role.as_str() {
            "caller" => {
                let started = caller::start(info(pod, &role), control).await;
                Self::Caller(started.expect("the address is free"))
            }
            _ => {
                let command = ServerCommand::parse_from(args);
                let options = ServerOptions {
                    bind: IpAddr::V4(address),
                    control,
                    info: info(pod, &role),
                    ..ServerOptions::from(command.server)
                };
                let started = server::start(options).await;
                Self::Server(started.expect("the address is free"))
            }
        }
    }

    /// Shuts down, and returns when no call is in progress.
    pub async fn stop(self) {
        match self {
            Self::Caller(running) => running.shutdown().await,
            Self::Server(running) => running.shutdown().await,
        }
    }

    /// The ledger of a server. A caller has none.
    pub fn ledger(&self) -> Option<&Ledger> {
        match self {
            Self::Caller(_) => None,
            Self::Server(running) => Some(running.ledger()),
        }
    }
}

fn info(pod: &Pod, role: &str) -> Info {
    Info {
        role: role.to_owned(),
        pod: pod.name_any(),
        namespace: pod.namespace().unwrap_or_default(),
        uid: pod.uid().unwrap_or_default(),
        workload: pods::label(pod, WORKLOAD_LABEL)
            .unwrap_or_default()
            .to_owned(),
        version: "v1".to_owned(),
    }
}
