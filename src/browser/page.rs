//! The test page's files. Sources and lock file are built in. The output of npm and esbuild is
//! kept in the user's cache, in a folder named by the hash of all sources, which is created
//! atomically.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    errors::{Classified, ErrorClass},
    text::hex,
    toolchain::{Cache, ToolchainError},
};

/// Sources by their path below `fixtures/browser`.
const SOURCES: [(&str, &str); 4] = [
    (
        "package.json",
        include_str!("../../fixtures/browser/package.json"),
    ),
    (
        "package-lock.json",
        include_str!("../../fixtures/browser/package-lock.json"),
    ),
    (
        "src/page.js",
        include_str!("../../fixtures/browser/src/page.js"),
    ),
    ("src/index.html", HTML),
];

const HTML: &str = include_str!("../../fixtures/browser/src/index.html");

/// File name of the bundle in the cache.
const BUNDLE: &str = "page.js";

/// The contents of the test page.
#[derive(Debug, Clone)]
pub struct TestPage {
    pub html: &'static str,
    pub script: Vec<u8>,
}

/// An error building the test page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error(transparent)]
    Cache(#[from] ToolchainError),
    #[error("cannot write {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("`npm` not found in PATH; on Debian: apt-get install nodejs npm")]
    NoNpm,
    #[error("`npm {command}` failed while building the browser's test page:\n{message}")]
    Npm {
        command: &'static str,
        message: String,
    },
}

impl Classified for PageError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Cache(error) => error.class(),
            Self::Io { .. } | Self::NoNpm | Self::Npm { .. } => ErrorClass::Machine,
        }
    }
}

/// Returns the page, and builds it if the cache has no build of these sources. Building takes
/// seconds, and needs npm's registry or cache.
///
/// # Errors
/// [`PageError`].
pub fn built() -> Result<TestPage, PageError> {
    let cache = Cache::of_user()?;
    let folder = cache.root().with_file_name("browser").join(hash());
    let bundle = folder.join(BUNDLE);
    if !bundle.is_file() {
        build(&folder)?;
    }
    let script = fs::read(&bundle).map_err(at(&bundle))?;
    Ok(TestPage { html: HTML, script })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PageError + use<> {
    let path = path.to_owned();
    move |source| PageError::Io { path, source }
}

fn hash() -> String {
    let mut hash = Sha256::new();
    for (name, text) in SOURCES {
        hash.update(name);
        hash.update([0]);
        hash.update(text);
        hash.update([0]);
    }
    hex(&hash.finalize()[..8])
}

/// Builds in a folder of this process next to the final one; the first process to finish wins.
fn build(folder: &Path) -> Result<(), PageError> {
    let work = folder.with_extension(format!("{}.partial", std::process::id()));
    for (name, text) in SOURCES {
        let path = work.join(name);
        let parent = path.parent().unwrap_or(&work);
        fs::create_dir_all(parent).map_err(at(parent))?;
        fs::write(&path, text).map_err(at(&path))?;
    }
    npm(
        &work,
        "ci",
        &["--ignore-scripts", "--no-audit", "--no-fund"],
    )?;
    let out = format!("--outfile={BUNDLE}");
    npm(&work, "run", &["build", "--", &out])?;
    let modules = work.join("node_modules");
    fs::remove_dir_all(&modules).map_err(at(&modules))?;
    let moved = fs::rename(&work, folder);
    if moved.is_err() && folder.join(BUNDLE).is_file() {
        return fs::remove_dir_all(&work).map_err(at(&work));
    }
    moved.map_err(at(folder))
}

fn npm(work: &Path, command: &'static str, args: &[&str]) -> Result<(), PageError> {
    let output = Command::new("npm")
        .arg(command)
        .args(args)
        .current_dir(work)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PageError::NoNpm),
        Err(error) => return Err(at(work)(error)),
    };
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = text.lines().rev().take(12).collect();
    let message = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    Err(PageError::Npm { command, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_by_the_sources() {
        assert_eq!(hash().len(), 16);
        assert_eq!(hash(), hash());
        assert!(SOURCES.iter().all(|(_, text)| !text.is_empty()));
    }
}
