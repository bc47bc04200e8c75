//! `meshproof image`: image archives for machines without a registry, for `scripts/kind-offline`.

use std::{path::Path, rc::Rc};

use super::{CommandError, toolchain::envoy};
use crate::{
    cli::{ImageArgs, ImageCommand, ImageInputs, ImageIstio, ImageKubernetes, ImagePack},
    exit::Exit,
    image::{
        self, istio, kubernetes,
        save::{Layer, Layered, Start, save},
    },
    output,
    report::text::shell_word,
    toolchain::{self, PrepareOptions},
};

pub fn run(args: &ImageArgs) -> Result<Exit, CommandError> {
    match &args.command {
        ImageCommand::Inputs(args) => inputs(args),
        ImageCommand::Pack(args) => pack(args),
        ImageCommand::Istio(args) => write_istio(args),
        ImageCommand::Kubernetes(args) => write_kubernetes(args),
        ImageCommand::List(args) => list(&args.archive),
    }
}

/// Names of sets and versions, and the shell variables that scripts read them from.
const SETS: [(&str, &str); 3] = [
    ("control plane", "control_plane_set"),
    ("envoy", "envoy_set"),
    ("kind", "kind_set"),
];
const VERSIONS: [(&str, &str); 2] = [
    ("kubernetes", "kubernetes_version"),
    ("envoy", "envoy_version"),
];

fn inputs(args: &ImageInputs) -> Result<Exit, CommandError> {
    let envoy = envoy(args.envoy.as_deref())?;
    let options = PrepareOptions::new(envoy).map_err(CommandError::other)?;
    let options = PrepareOptions {
        kind: true,
        ..options
    };
    let status = toolchain::status(&options).map_err(CommandError::other)?;
    if !status.ready() {
        output::say("the tool chain is incomplete: run `meshproof toolchain prepare --kind`");
        return Ok(Exit::Error);
    }
    let sets = SETS.iter().filter_map(|(name, variable)| {
        let set = status.sets.iter().find(|set| set.name == *name)?;
        Some(format!("{variable}={}\n", shell_word(&set.path)))
    });
    let versions = VERSIONS.iter().filter_map(|(name, variable)| {
        let version = status.versions.get(*name)?;
        Some(format!("{variable}={}\n", shell_word(version)))
    });
    let lines: String = sets.chain(versions).collect();
    output::data(&lines).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

fn pack(args: &ImagePack) -> Result<Exit, CommandError> {
    let layers = args
        .layers
        .iter()
        .map(|path| Layer::of_tar(&args.name, path));
    let layers: Result<Vec<_>, _> = layers.map(|layer| layer.map(Rc::new)).collect();
    let start = Start {
        entrypoint: args.entrypoint.clone(),
        env: args.env.clone(),
        user: String::new(),
        stop_signal: args.stop_signal.clone(),
    };
    let layers = layers.map_err(CommandError::other)?;
    let image = Layered::new(vec![args.name.clone()], layers, &start);
    save(&[image], &args.to).map_err(CommandError::other)?;
    Ok(Exit::Ok)
}

fn write_istio(args: &ImageIstio) -> Result<Exit, CommandError> {
    let parts = istio::IstioImageInputs {
        control_plane: &args.control_plane,
        envoy: &args.envoy,
        envoy_version: &args.envoy_version,
        userland: &args.userland,
    };
    let images = istio::images(parts, &args.hub, &args.tag).map_err(CommandError::other)?;
    save(&images, &args.to).map_err(CommandError::other)?;
    Ok(Exit::Ok)
}

fn write_kubernetes(args: &ImageKubernetes) -> Result<Exit, CommandError> {
    let parts = kubernetes::KubernetesImageInputs {
        control_plane: &args.control_plane,
        kind: &args.kind,
        userland: &args.userland,
    };
    kubernetes::write(parts, &args.to).map_err(CommandError::other)?;
    Ok(Exit::Ok)
}

fn list(archive: &Path) -> Result<Exit, CommandError> {
    let images = image::list(archive).map_err(|error| {
        let text = format!("{}: {error}", archive.display());
        CommandError::Usage(text)
    })?;
    let lines = images.iter().map(|image| {
        let names = image.names.join(",");
        format!("{} {names} {}\n", image.id, image.layers.join(","))
    });
    output::data(&lines.collect::<String>()).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}
