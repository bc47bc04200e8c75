//! This machine as a host for a local world.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

use super::{
    machine::{machine, number, user},
    program::{LIMIT, asked, of_the_world, on_path, there, try_to_ask},
    room::room,
};
use crate::{
    doctor::{
        disk::DiskSpace,
        ids::Ids,
        local::{Browser, Chain, LocalFacts},
        namespaces::NamespaceFacts,
        programs::OF_THE_WORLD,
    },
    errors,
    targets::local::world::{attempt, root_directory},
    toolchain::{
        self, Cache, CacheStatus, EnvoyVersion, GO_MINIMUM, PrepareOptions, SetState,
        ToolchainError,
    },
};

/// Names under which distributions install Chromium.
const CHROMIUM: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

pub async fn local() -> LocalFacts {
    LocalFacts {
        machine: machine(),
        namespaces: namespaces().await,
        ids: ids(),
        programs: OF_THE_WORLD
            .map(|expected| there(of_the_world(expected.name)))
            .into(),
        nft: asked(of_the_world("nft"), &["--version"]).await,
        chain: chain().await,
        testbed: testbed(),
        state: state(),
        browser: Browser {
            built_in: cfg!(feature = "browser"),
            chromium: there(CHROMIUM.iter().find_map(|name| on_path(name))),
            npm: there(on_path("npm")),
        },
    }
}

fn state() -> DiskSpace {
    match root_directory() {
        Ok(path) => room(&path),
        Err(error) => DiskSpace {
            path: "XDG_RUNTIME_DIR".into(),
            free: Err(errors::chain(&error)),
        },
    }
}

async fn namespaces() -> NamespaceFacts {
    let tried = match std::env::current_exe() {
        Ok(exe) => try_to_ask(&exe, &[attempt::ROLE]).await.ok(), // starting it needs /dev/null
        Err(_) => None,                                           // /proc is missing
    };
    NamespaceFacts {
        tried: tried.map(|answer| answer.map(drop)),
        root: Uid::effective().is_root(),
        most: number("/proc/sys/user/max_user_namespaces"),
        unprivileged: number("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    }
}

fn ids() -> Vec<Ids> {
    let uid = Uid::effective();
    if uid.is_root() {
        return Vec::new();
    }
    let pairs = [("newuidmap", "/etc/subuid"), ("newgidmap", "/etc/subgid")];
    let ids = pairs.map(|(program, file)| Ids {
        program,
        found: on_path(program).map(|path| path.display().to_string()),
        file,
        text: fs::read_to_string(file).ok(),
        user: user(),
        uid: uid.as_raw(),
    });
    ids.into()
}

/// The test bed's program next to this one: its path, or where it should be.
pub(super) fn testbed() -> Result<PathBuf, PathBuf> {
    let exe = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("meshproof"));
    let beside = exe.with_file_name("testbed");
    match beside.is_file() {
        true => Ok(beside),
        false => Err(beside),
    }
}

async fn chain() -> Chain {
    let (answer, go, pip) = answer(look().await);
    let go = match go {
        true => Some(asked(on_path("go"), &["env", "GOVERSION"]).await),
        false => None,
    };
    let pip = match pip {
        true => Some(asked(on_path("python3"), &["-m", "pip", "--version"]).await),
        false => None,
    };
    Chain {
        answer: answer.map_err(|error| errors::chain(&error)),
        go,
        go_minimum: GO_MINIMUM,
        pip,
        cache: Cache::of_user().ok().map(|cache| room(cache.root())),
    }
}

/// Queries the cache. This can run `go` to get its version.
async fn look() -> Result<CacheStatus, ToolchainError> {
    let looking = tokio::task::spawn_blocking(|| {
        let options = PrepareOptions::new(EnvoyVersion::default())?;
        toolchain::status(&options)
    });
    match tokio::time::timeout(LIMIT, looking).await {
        Ok(Ok(status)) => status,
        _ => Err(ToolchainError::GoMissing), // a go that does not answer counts as missing
    }
}

/// The state of the cache as text, and whether Go and pip are needed.
fn answer(
    looked: Result<CacheStatus, ToolchainError>,
) -> (Result<String, ToolchainError>, bool, bool) {
    match looked {
        Ok(status) => {
            let open = status.sets.iter();
            let open = open.filter(|set| !matches!(set.state, SetState::Ready { .. }));
            let open: Vec<&str> = open.map(|set| set.name).collect();
            let message = match open.as_slice() {
                [] => format!("ready at {}", status.cache.display()),
                open => format!("not built yet: {}", open.join(", ")),
            };
            let pip = open.contains(&"envoy");
            (Ok(message), open.len() > usize::from(pip), pip)
        }
        Err(ToolchainError::GoMissing | ToolchainError::GoTooOld { .. }) => {
            (Ok("not built yet".to_owned()), true, true)
        }
        Err(error) => (Err(error), true, true),
    }
}

/// Returns whether the tool chain is complete.
pub(super) async fn is_ready() -> bool {
    look().await.is_ok_and(|status| status.ready())
}

/// A program of the tool chain, if it exists.
pub(super) async fn of_the_chain(name: &str) -> Option<PathBuf> {
    let status = look().await.ok()?;
    let sets = status.sets.iter();
    let ready = sets.filter(|set| matches!(set.state, SetState::Ready { .. }));
    let mut programs = ready.map(|set| set.path.join("bin").join(name));
    programs.find(|path| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;
    use crate::toolchain::SetStatus;

    fn status(states: [bool; 3]) -> CacheStatus {
        let names = ["control plane", "interop", "envoy"];
        let set = |(name, ready)| SetStatus {
            name,
            path: "/cache/x".into(),
            state: match ready {
                true => SetState::Ready {
                    bytes: 1,
                    components: Vec::new(),
                },
                false => SetState::Missing,
            },
        };
        CacheStatus {
            cache: "/cache".into(),
            versions: BTreeMap::new(),
            sets: names.into_iter().zip(states).map(set).collect(),
        }
    }

    #[rstest]
    #[case(Ok(status([true, true, true])), "ready at /cache", (false, false))]
    #[case(Ok(status([false, true, true])), "control plane", (true, false))]
    #[case(Ok(status([true, true, false])), "envoy", (false, true))]
    #[case(Ok(status([true, false, false])), "interop, envoy", (true, true))]
    #[case(Err(ToolchainError::GoMissing), "not built yet", (true, true))]
    #[case(Err(ToolchainError::NoCacheHome), "no cache directory", (true, true))]
    fn only_what_is_not_there_has_to_be_made(
        #[case] looked: Result<CacheStatus, ToolchainError>,
        #[case] message: &str,
        #[case] needs: (bool, bool),
    ) {
        let (answer, go, pip) = answer(looked);
        let text = answer.unwrap_or_else(|error| error.to_string());
        assert!(text.contains(message), "{text}");
        assert_eq!((go, pip), needs);
    }
}
