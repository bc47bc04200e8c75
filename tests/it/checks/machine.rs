//! State of this machine that a run could leave behind, as lines that can be compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use meshproof::wait::{Look, WaitError, until};

use super::program::{command, output};

/// Timeout of a listing.
const LIMIT: Duration = Duration::from_secs(20);
/// Maximum number of differences shown.
const SHOWN: usize = 20;

/// Identifies what belongs to the runs under observation.
pub struct Ours {
    /// Path of the program.
    pub program: PathBuf,
    /// `XDG_RUNTIME_DIR` of the runs: worlds keep their state below it.
    pub state: PathBuf,
    /// `TMPDIR` of the runs.
    pub scratch: PathBuf,
}

impl Ours {
    /// Lists processes, network links and rules, named network namespaces, mounts, nft's rules,
    /// control groups and files.
    ///
    /// # Errors
    /// A program that lists them failed.
    pub async fn listed(&self) -> Result<BTreeSet<String>, String> {
        let mut all = BTreeSet::new();
        let mut add = |kind: &str, lines: Vec<String>| {
            all.extend(lines.into_iter().map(|line| format!("{kind} {line}")));
        };
        add("process", self.processes());
        for (kind, program, message) in [
            ("link", "ip", &["-o", "link"][..]),
            ("rule", "ip", &["rule"]),
            ("nft", "nft", &["list", "ruleset"]),
        ] {
            let text = output(command(program, message), LIMIT).await?;
            let line = |line: &str| match kind {
                "link" => line.split(": ").nth(1).unwrap_or(line).to_owned(), // without index and state
                _ => line.to_owned(),
            };
            add(kind, text.lines().map(line).collect());
        }
        add("netns", names(Path::new("/run/netns")));
        add("mount", mounts());
        add("cgroup", cgroups());
        for folder in [&self.state, &self.scratch] {
            add(
                "file",
                below(folder)
                    .into_iter()
                    .filter(|path| !path.ends_with("/.lock"))
                    .collect(),
            );
        }
        Ok(all)
    }

    /// Processes of the program or with our directory in their arguments, and all their
    /// descendants.
    fn processes(&self) -> Vec<String> {
        let state = self.state.display().to_string();
        let all: BTreeMap<u32, Process> = names(Path::new("/proc"))
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter_map(|pid| Some((pid, Process::of(pid)?)))
            .collect();
        let own = |process: &Process| {
            process.exe.as_ref() == Some(&self.program) || process.message.contains(&state)
        };
        let is_ours = |pid: &u32| {
            let (mut at, mut seen) = (*pid, BTreeSet::new());
            // Process ids can be reused between two reads, so that parents could form a cycle.
            while let Some(process) = all.get(&at).filter(|_| seen.insert(at)) {
                if own(process) {
                    return true;
                }
                at = process.parent;
            }
            false
        };
        let lines = all.iter().filter(|(pid, _)| is_ours(pid));
        lines
            .map(|(pid, process)| {
                format!(
                    "{pid} {}",
                    process.message.chars().take(150).collect::<String>()
                )
            })
            .collect()
    }

    /// Waits until everything is as before.
    ///
    /// # Errors
    /// The differences. `before` is then set to the current state, so that each difference is
    /// reported once.
    pub async fn as_before(
        &self,
        before: &mut BTreeSet<String>,
        limit: Duration,
    ) -> Result<String, String> {
        let last = until(limit, async |_| {
            let now = self.listed().await?;
            Ok::<_, String>(match now == *before {
                true => Look::Met(()),
                false => Look::Unmet(difference(before, &now)),
            })
        });
        let outcome = last.await;
        match outcome {
            Ok(()) => Ok(String::new()),
            Err(WaitError::Failed(why)) => Err(why),
            Err(WaitError::TimedOut(late)) => {
                *before = self.listed().await?;
                Err(late.last_seen)
            }
        }
    }
}

/// `+` marks what is new, `-` what is missing.
pub fn difference(before: &BTreeSet<String>, now: &BTreeSet<String>) -> String {
    let come = now.difference(before).map(|line| ('+', line));
    let gone = before.difference(now).map(|line| ('-', line));
    let lines = come.chain(gone).take(SHOWN);
    let lines = lines
        .map(|(sign, line)| format!("\n{sign} {}", line.chars().take(200).collect::<String>()));
    lines.collect()
}

struct Process {
    parent: u32,
    exe: Option<PathBuf>,
    /// Its arguments, separated by blanks.
    message: String,
}

impl Process {
    /// `None` when the process has ended meanwhile.
    fn of(pid: u32) -> Option<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?; // the name may contain blanks and brackets
        let message = fs::read(folder.join("cmdline")).ok()?;
        Some(Self {
            parent: after_name.split_whitespace().nth(1)?.parse().ok()?,
            exe: fs::read_link(folder.join("exe")).ok(),
            message: String::from_utf8_lossy(&message).replace('\0', " "),
        })
    }
}

/// Names in a directory; empty when it does not exist.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Everything below a directory. Links are not followed.
fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        found.push(path.display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&path));
        }
    }
    found
}

fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(4).map(str::to_owned);
    text.lines().filter_map(point).collect()
}

/// Directories of control groups with our name. Those of others come and go.
fn cgroups() -> Vec<String> {
    let all = below(Path::new("/sys/fs/cgroup")).into_iter();
    all.filter(|path| path.contains("meshproof") && Path::new(path).is_dir())
        .collect()
}
