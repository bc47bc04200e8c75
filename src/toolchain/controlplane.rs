//! Builds the programs of a Go module, such as the control plane, with `go`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::{
    command::run,
    entry::{Built, Manifest, copy},
    error::ToolchainError,
    pins::{Component, GO_MINIMUM, Recipe},
    progress::PrepareProgress,
};

/// Version and platform of the `go` in PATH, which are part of a set's key.
pub(super) fn go_version() -> Result<String, ToolchainError> {
    let mut command = go(Path::new("/"));
    command.args(["env", "GOVERSION", "GOOS", "GOARCH"]);
    let text = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ToolchainError::GoMissing);
        }
        Err(error) => return Err(ToolchainError::io("running", "go", error)),
        Ok(output) => String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    };
    match at_least(&text, GO_MINIMUM) {
        true => Ok(text),
        false => Err(ToolchainError::GoTooOld { found: text }),
    }
}

/// Whether `found`, such as `go1.26.8 linux amd64`, is at least `minimum`, such as `1.26`.
fn at_least(found: &str, minimum: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        let digits = |part: &str| {
            part.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
        };
        text.split('.')
            .take(2)
            .filter_map(|part| digits(part).parse().ok())
            .collect()
    };
    let found = found.split_whitespace().next().unwrap_or_default();
    numbers(found.trim_start_matches("go")) >= numbers(minimum)
}

/// `go` in `dir`, without the user's settings that would change the build.
fn go(dir: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(dir)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "")
        .env("GOWORK", "off");
    for name in ["GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG"] {
        command.env_remove(name);
    }
    command
}

/// Builds `recipe` below `partial`, keeping what an interrupted run has finished; returns the
/// finished tree.
pub(super) fn build(
    recipe: &Recipe,
    partial: &Path,
    lock: &File,
    progress: &mut dyn FnMut(PrepareProgress<'_>),
) -> Result<PathBuf, ToolchainError> {
    let source = partial.join("src");
    for (path, contents) in &recipe.files {
        write(&source.join(path), contents)?;
    }
    let (out, done) = (partial.join("out"), partial.join("done"));
    for dir in [out.join("bin"), partial.join("new"), done.clone()] {
        fs::create_dir_all(&dir).map_err(|error| ToolchainError::io("making", dir, error))?;
    }
    let job = Job {
        recipe,
        source: &source,
        lock,
        out: &out,
        started: Instant::now(),
    };
    let mut packages = (0, None);
    let mut built = Vec::new();
    let total = recipe.components.len();
    for (index, component) in (1..).zip(&recipe.components) {
        let (name, marker) = (component.name.as_str(), done.join(&component.name));
        if let Some(before) = finished_before(&marker, &out.join("bin").join(name)) {
            progress(PrepareProgress::Resumed {
                component: name,
                index,
                total,
            });
            built.push(before);
            continue;
        }
        progress(PrepareProgress::Started {
            component: name,
            index,
            total,
        });
        let of = match packages.1 {
            Some(of) => of,
            None => *packages.1.insert(job.count_packages(name, progress)?),
        };
        let now = job.compile(component, partial, (&mut packages.0, of), progress)?;
        let text = serde_json::to_vec(&now).map_err(std::io::Error::other);
        text.and_then(|text| fs::write(&marker, text))
            .map_err(|error| ToolchainError::io("writing", &marker, error))?;
        built.push(now);
    }
    job.take_assets(progress)?;
    Manifest::write(&out, recipe.versions.clone(), built)?;
    Ok(out)
}

/// What an interrupted run recorded about a component, if its binary still has that size.
fn finished_before(marker: &Path, binary: &Path) -> Option<Built> {
    let before: Built = serde_json::from_slice(&fs::read(marker).ok()?).ok()?;
    (fs::metadata(binary).ok()?.len() == before.bytes).then_some(before)
}

fn write(path: &Path, contents: &[u8]) -> Result<(), ToolchainError> {
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    parent
        .and_then(|()| fs::write(path, contents))
        .map_err(|error| ToolchainError::io("writing", path, error))
}

struct Job<'a> {
    recipe: &'a Recipe,
    source: &'a Path,
    lock: &'a File,
    out: &'a Path,
    started: Instant,
}

impl Job<'_> {
    /// Fetches the modules and counts the packages of all components.
    fn count_packages(
        &self,
        component: &str,
        progress: &mut dyn FnMut(PrepareProgress<'_>),
    ) -> Result<usize, ToolchainError> {
        let mut command = go(self.source);
        command.args(["list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}"]);
        command.args(
            self.recipe
                .components
                .iter()
                .map(|component| &component.package),
        );
        let list = run(
            "fetching Go modules",
            &mut command,
            Some(self.lock),
            |line| {
                progress(PrepareProgress::Line {
                    component,
                    line,
                    packages: 0,
                    of: 0,
                    elapsed: self.started.elapsed(),
                });
            },
        )?;
        Ok(list.lines().count())
    }

    fn compile(
        &self,
        component: &Component,
        partial: &Path,
        (packages, of): (&mut usize, usize),
        progress: &mut dyn FnMut(PrepareProgress<'_>),
    ) -> Result<Built, ToolchainError> {
        let (name, started) = (component.name.as_str(), Instant::now());
        let new = partial.join("new").join(name);
        let mut command = go(self.source);
        command.args([
            "build",
            "-v",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            &self.recipe.ldflags,
            "-o",
        ]);
        command.arg(&new).arg(&component.package);
        run(
            &format!("building {name}"),
            &mut command,
            Some(self.lock),
            |line| {
                *packages += usize::from(!line.contains(' ')); // `go build -v` prints one import path per line
                progress(PrepareProgress::Line {
                    component: name,
                    line,
                    packages: *packages,
                    of,
                    elapsed: self.started.elapsed(),
                });
            },
        )?;
        let bin = self.out.join("bin").join(name);
        let moved = fs::rename(&new, &bin).and_then(|()| fs::metadata(&bin));
        let bytes = moved
            .map_err(|error| ToolchainError::io("moving", new, error))?
            .len();
        let took = started.elapsed();
        progress(PrepareProgress::Finished {
            component: name,
            bytes,
            took,
        });
        Ok(Built {
            name: name.to_owned(),
            bytes,
            seconds: seconds(took),
        })
    }

    /// Copies the module files that the local target needs at run time, so that Go's caches may be
    /// cleaned.
    fn take_assets(
        &self,
        progress: &mut dyn FnMut(PrepareProgress<'_>),
    ) -> Result<(), ToolchainError> {
        if self.recipe.assets.is_empty() {
            return Ok(());
        }
        let mut command = go(self.source);
        command.args(["list", "-mod=readonly", "-m", "-f", "{{.Path}} {{.Dir}}"]);
        let modules: BTreeMap<&str, ()> = self
            .recipe
            .assets
            .iter()
            .map(|(module, ..)| (module.as_str(), ()))
            .collect();
        command.args(modules.keys());
        let listed = run(
            "looking for Go modules",
            &mut command,
            Some(self.lock),
            |line| {
                progress(PrepareProgress::Line {
                    component: "assets",
                    line,
                    packages: 0,
                    of: 0,
                    elapsed: self.started.elapsed(),
                });
            },
        )?;
        let dirs: BTreeMap<&str, &str> = listed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        for (module, from, to) in &self.recipe.assets {
            let from = Path::new(dirs.get(module.as_str()).copied().unwrap_or_default()).join(from);
            if !from.is_absolute() || !from.exists() {
                return Err(ToolchainError::Incomplete {
                    what: format!("Go module {module}"),
                    path: from,
                });
            }
            let to = self.out.join("share").join(to);
            copy(&from, &to).map_err(|error| ToolchainError::io("copying", from, error))?;
        }
        Ok(())
    }
}

/// Seconds to a tenth.
pub(super) fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("go1.26.8 linux amd64", true)]
    #[case("go1.26rc1 linux amd64", true)]
    #[case("go1.27 linux arm64", true)]
    #[case("go2.0.1 linux amd64", true)]
    #[case("go1.9.7 linux amd64", false)]
    #[case("go1.25.3 linux amd64", false)]
    #[case("", false)]
    fn versions_compare_as_numbers(#[case] found: &str, #[case] enough: bool) {
        assert_eq!(at_least(found, "1.26"), enough);
    }
}
