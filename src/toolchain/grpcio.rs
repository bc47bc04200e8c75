//! Installs gRPC's Python package with `pip`, checked against pinned SHA-256, for the Python that
//! containers see.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use super::{
    command::run,
    controlplane::seconds,
    entry::{Built, Manifest},
    envoy::{check_pip, python, requirement},
    error::ToolchainError,
    pins::{GRPCIO, Wheel},
    progress::PrepareProgress,
};

/// The host's interpreter, as in images with the host's programs.
pub const INTERPRETER: &str = "/usr/bin/python3";

/// The interpreter's version, such as `3.11`; `None` if the host does not have it.
pub(super) fn interpreter_version() -> Option<String> {
    let mut command = Command::new(INTERPRETER);
    command.args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let answer = command
        .output()
        .ok()
        .filter(|answer| answer.status.success())?;
    let version = String::from_utf8(answer.stdout).ok()?.trim().to_owned();
    (!version.is_empty()).then_some(version)
}

/// Name of the set for an interpreter version. pip accepts only the pinned files.
pub(super) fn set(version: &str) -> String {
    let digests: String = wheels()
        .iter()
        .flat_map(|wheel| wheel.sha256.clone())
        .collect();
    let arch = std::env::consts::ARCH;
    format!(
        "grpcio-{}-python{version}-{arch}-{}",
        GRPCIO,
        &digests[..16]
    )
}

fn wheels() -> Vec<Wheel> {
    Wheel::grpcio()
}

/// Installs the packages below `partial`; returns the finished tree.
pub(super) fn fetch(
    version: &str,
    partial: &Path,
    lock: &File,
    progress: &mut dyn FnMut(PrepareProgress<'_>),
) -> Result<PathBuf, ToolchainError> {
    let started = Instant::now();
    let (out, list) = (partial.join("out"), partial.join("requirements.txt"));
    // pip would add to what an interrupted run left.
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).map_err(|error| ToolchainError::io("making", &out, error))?;
    let text: String = wheels().iter().map(requirement).collect();
    fs::write(&list, text).map_err(|error| ToolchainError::io("writing", &list, error))?;
    progress(PrepareProgress::Started {
        component: "grpcio",
        index: 1,
        total: 1,
    });
    check_pip()?;
    let mut command = python();
    command.args(["-m", "pip", "install", "--no-deps", "--no-compile"]);
    command.args([
        "--only-binary=:all:",
        "--require-hashes",
        "--progress-bar=off",
    ]);
    command.args(["--root-user-action=ignore", "--python-version", version]);
    command.arg("--target").arg(out.join("lib"));
    command.arg("--requirement").arg(&list);
    run("installing grpcio", &mut command, Some(lock), |line| {
        progress(PrepareProgress::Line {
            component: "grpcio",
            line,
            packages: 0,
            of: 0,
            elapsed: started.elapsed(),
        });
    })?;
    let took = started.elapsed();
    let built = Built {
        name: "grpcio".to_owned(),
        bytes: 0,
        seconds: seconds(took),
    };
    let versions = [("grpcio".to_owned(), GRPCIO.to_owned())];
    Manifest::write(&out, versions.into(), vec![built])?;
    Ok(out)
}
