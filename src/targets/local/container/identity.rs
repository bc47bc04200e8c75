//! Assumes the container's user, then finds and executes its program.

use std::{
    ffi::{CString, NulError},
    io,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{self, Gid, Uid},
};

use super::spec::Identity;
use crate::targets::local::ns;

/// `PATH` of a process whose environment sets none, as in container runtimes.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Drops everything that the identity does not have, irrevocably.
pub(super) fn assume(identity: &Identity) -> io::Result<()> {
    ns::limit_bounding_set(identity.capabilities)?;
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    unistd::setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    unistd::setresgid(gid, gid, gid)?;
    unistd::setresuid(uid, uid, uid)?;
    if uid.is_root() {
        // exec with uid 0 grants the whole bounding set; the inheritable set is left empty, as
        // runtimes do since CVE-2022-24769
        ns::set_capabilities(identity.capabilities)?;
    }
    if identity.no_new_privs {
        prctl::set_no_new_privs()?;
    }
    Ok(())
}

/// Replaces the process with `argv[0]`, looked up in the `PATH` of `env`. Returns only on
/// failure, with an error message phrased as in container runtimes.
pub(super) fn exec(argv: &[String], env: &[(String, String)]) -> String {
    let Some(program) = argv.first().filter(|name| !name.is_empty()) else {
        return "no command specified: neither the image nor the pod names a program".to_owned();
    };
    let mut env = env.to_vec();
    if !env.iter().any(|(name, _)| name == "HOME") {
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        env.push(("HOME".to_owned(), home(&users, unistd::getuid().as_raw())));
    }
    let (Ok(arguments), Ok(environment)) = (
        c_strings(argv.iter().cloned()),
        c_strings(env.iter().map(|(k, v)| format!("{k}={v}"))),
    ) else {
        return format!("exec: {program:?}: an argument or a variable contains a NUL byte");
    };
    let path = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map_or(DEFAULT_PATH, |(_, value)| value);
    ns::restore_sigpipe();
    let mut worst = Errno::ENOENT;
    for candidate in candidates(program, path) {
        let Ok(file) = CString::new(candidate.into_os_string().into_encoded_bytes()) else {
            continue;
        };
        let Err(error) = unistd::execve(&file, &arguments, &environment);
        if error != Errno::ENOENT && error != Errno::ENOTDIR {
            worst = error;
        }
    }
    match worst {
        Errno::ENOENT if program.contains('/') => {
            format!("exec: {program:?}: stat {program}: no such file or directory")
        }
        Errno::ENOENT => format!("exec: {program:?}: executable file not found in $PATH"),
        error => format!("exec: {program:?}: {}", error.desc()),
    }
}

/// The user's home directory in the text of `/etc/passwd`, or `/`, as container runtimes choose it.
fn home(users: &str, uid: u32) -> String {
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let own = fields
        .into_iter()
        .find(|line| line.get(2).is_some_and(|id| *id == uid.to_string()));
    own.and_then(|line| line.get(5).map(|dir| (*dir).to_owned()))
        .filter(|dir| !dir.is_empty())
        .unwrap_or_else(|| "/".to_owned())
}

/// The paths to try for a program name.
fn candidates(program: &str, path: &str) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    path.split(':')
        .map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(program))
        .collect()
}

fn c_strings(message: impl Iterator<Item = String>) -> Result<Vec<CString>, NulError> {
    message.map(CString::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::absolute("/bin/x", "/a:/b", &["/bin/x"])]
    #[case::relative("./x", "/a:/b", &["./x"])]
    #[case::searched("x", "/a:/b", &["/a/x", "/b/x"])]
    #[case::empty_entry_is_here("x", ":/b", &["./x", "/b/x"])]
    fn names_without_slash_are_searched(
        #[case] program: &str,
        #[case] path: &str,
        #[case] expected: &[&str],
    ) {
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(candidates(program, path), expected);
    }

    #[rstest]
    #[case::known(0, "/root")]
    #[case::no_directory(7, "/")]
    #[case::unknown(5, "/")]
    fn the_home_directory_is_the_users(#[case] uid: u32, #[case] expected: &str) {
        let users = "root:x:0:0:root:/root:/bin/sh\nodd:x:7:7:::\n";
        assert_eq!(home(users, uid), expected);
    }

    #[test]
    fn a_missing_program_is_named() {
        let answer = exec(
            &["no-such-program".to_owned()],
            &[("PATH".to_owned(), "/nowhere".to_owned())],
        );
        assert!(
            answer.contains("no-such-program") && answer.contains("$PATH"),
            "{answer}"
        );
    }
}
