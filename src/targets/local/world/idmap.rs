//! `__idmap PID`: writes the user and group map of a process that has just entered a new user
//! namespace.
//!
//! It runs outside that namespace, because only there it may map more than one ID
//! (user_namespaces(7)): root writes the maps itself, an ordinary user has `newuidmap` and
//! `newgidmap` write the ranges of /etc/subuid and /etc/subgid.

use std::{
    io::{self, Read as _},
    process::{Command, ExitCode},
};

use nix::unistd::{Gid, Uid, User};

use crate::errors::chain;

/// Number of IDs that a world needs: root to nobody, with Istio's 1337 between them.
const IDS: u32 = 65_536;

/// An error mapping the IDs of a process.
#[derive(Debug, thiserror::Error)]
enum MapError {
    #[error("cannot write {path}")]
    Write { path: String, source: io::Error },
    #[error(
        "cannot run {tool}: {source}; install the package uidmap (Debian, Ubuntu) or shadow-utils"
    )]
    NoTool {
        tool: &'static str,
        source: io::Error,
    },
    #[error("{tool} failed: {answer}")]
    Refused { tool: &'static str, answer: String },
    #[error(
        "{file} has no range of {} IDs for {user}; as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
        IDS - 1
    )]
    NoRange { file: &'static str, user: String },
}

/// Waits for a byte on stdin (the process is in its new namespace), then writes the maps.
pub fn main(args: &[String]) -> ExitCode {
    let mut byte = [0];
    if std::io::stdin().read_exact(&mut byte).is_err() {
        return ExitCode::FAILURE; // the process died first
    }
    match args.first().map(|pid| map(pid)) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("{}", chain(&error));
            ExitCode::FAILURE
        }
        None => ExitCode::from(2),
    }
}

fn map(pid: &str) -> Result<(), MapError> {
    if Uid::effective().is_root() {
        for file in ["uid_map", "gid_map"] {
            let path = format!("/proc/{pid}/{file}");
            std::fs::write(&path, format!("0 0 {IDS}\n"))
                .map_err(|source| MapError::Write { path, source })?;
        }
        return Ok(());
    }
    let user = User::from_uid(Uid::effective())
        .ok()
        .flatten()
        .map_or_else(|| Uid::effective().to_string(), |user| user.name);
    let uid = Uid::effective().to_string();
    let gid = Gid::effective().to_string();
    for (tool, own, file) in [
        ("newuidmap", &uid, "/etc/subuid"),
        ("newgidmap", &gid, "/etc/subgid"),
    ] {
        let start = sub_range(file, &user, &uid)?;
        let args = [pid, "0", own, "1", "1", &start, &(IDS - 1).to_string()];
        let output = Command::new(tool).args(args).output();
        let output = output.map_err(|source| MapError::NoTool { tool, source })?;
        if !output.status.success() {
            let answer = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(MapError::Refused { tool, answer });
        }
    }
    Ok(())
}

/// First id of the user's subordinate range (subuid(5)).
fn sub_range(file: &'static str, user: &str, uid: &str) -> Result<String, MapError> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    find_range(&text, user, uid).ok_or_else(|| MapError::NoRange {
        file,
        user: user.to_owned(),
    })
}

fn find_range(text: &str, user: &str, uid: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        let enough = count.parse::<u32>().ok()? >= IDS - 1;
        ((name == user || name == uid) && enough).then(|| start.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::by_name("ann:100000:65536\n", Some("100000"))]
    #[case::by_id("1000:200000:65536\n", Some("200000"))]
    #[case::second_line("bob:1:65536\nann:300000:70000", Some("300000"))]
    #[case::too_small("ann:100000:1000", None)]
    #[case::nobody("", None)]
    fn a_range_is_found_when_it_is_large_enough(#[case] text: &str, #[case] found: Option<&str>) {
        assert_eq!(find_range(text, "ann", "1000").as_deref(), found);
    }
}
