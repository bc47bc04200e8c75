//! This machine as a place for a kind cluster.

use std::env::var_os;

use super::{
    docker::docker,
    kernel::kernel,
    local::{of_the_chain, testbed},
    machine::machine,
    program::{asked, named_or_on_path},
};
use crate::doctor::kind::{Istioctl, Kind};

pub async fn kind(name: Option<String>) -> Kind {
    let docker = docker().await;
    let program = named_or_on_path(var_os("MESHPROOF_KIND"), "kind");
    Kind {
        machine: machine(),
        kernel: kernel(docker.engine.is_ok()),
        docker,
        kind: asked(program, &["version"]).await,
        istioctl: istioctl().await,
        testbed: testbed(),
        name,
    }
}

/// The one that is named, else the one on PATH, else the tool chain's.
async fn istioctl() -> Istioctl {
    const WORDS: [&str; 2] = ["version", "--remote=false"];
    let named = var_os("MESHPROOF_ISTIOCTL").filter(|value| !value.is_empty());
    let given = named.is_some();
    let path = named_or_on_path(named, "istioctl");
    if path.is_some() || given {
        return Istioctl {
            program: asked(path, &WORDS).await,
            ours: false,
        };
    }
    Istioctl {
        program: asked(of_the_chain("istioctl").await, &WORDS).await,
        ours: true,
    }
}
