//! This machine as a host for a kind cluster.

use std::path::{Path, PathBuf};

use super::{
    docker::docker,
    kernel::kernel,
    local::{is_ready, of_the_chain, testbed},
    machine::machine,
    program::{asked, on_path},
};
use crate::{
    doctor::kind::{Istioctl, KindFacts},
    env, toolchain,
};

/// The requested properties of the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub name: Option<&'a str>,
    /// Version of Istio.
    pub istio: Option<&'a str>,
    pub istioctl: Option<&'a Path>,
}

pub async fn kind(expected: Wanted<'_>) -> KindFacts {
    let docker = docker().await;
    let program = env::kind().unwrap_or_else(|| PathBuf::from("kind"));
    KindFacts {
        machine: machine(),
        kernel: kernel(docker.engine.is_ok()),
        docker,
        kind: asked(toolchain::on_path(&program), &["version"]).await,
        istioctl: istioctl(expected).await,
        testbed: testbed(),
        chain: is_ready().await,
        name: expected.name.map(str::to_owned),
    }
}

/// The requested one, else the one in PATH, else the tool chain's.
async fn istioctl(expected: Wanted<'_>) -> Istioctl {
    let given = expected.istioctl;
    let path = given.map_or_else(|| on_path("istioctl"), toolchain::on_path);
    let ours = path.is_none() && given.is_none();
    let path = match ours {
        true => of_the_chain("istioctl").await,
        false => path,
    };
    Istioctl {
        program: asked(path, &["version", "--remote=false"]).await,
        given: given.map(Path::to_owned),
        ours,
        expected: expected.istio.map(str::to_owned),
    }
}
