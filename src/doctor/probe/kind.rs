//! This machine as a place for a kind cluster.

use std::path::{Path, PathBuf};

use super::{
    docker::docker,
    kernel::kernel,
    local::{is_ready, of_the_chain, testbed},
    machine::machine,
    program::{asked, on_path},
};
use crate::{
    cli::DoctorArgs,
    doctor::kind::{Istioctl, Kind},
    env, toolchain,
};

pub async fn kind(args: &DoctorArgs) -> Kind {
    let docker = docker().await;
    let program = env::kind().unwrap_or_else(|| PathBuf::from("kind"));
    Kind {
        machine: machine(),
        kernel: kernel(docker.engine.is_ok()),
        docker,
        kind: asked(toolchain::on_path(&program), &["version"]).await,
        istioctl: istioctl(args).await,
        testbed: testbed(),
        chain: is_ready().await,
        name: args.name.clone(),
    }
}

/// The one that is named, else the one on PATH, else the tool chain's.
async fn istioctl(args: &DoctorArgs) -> Istioctl {
    let given = args.istioctl.as_deref();
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
        wanted: args.istio.clone(),
    }
}
