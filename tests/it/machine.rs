//! What the local target may do to the machine, verified by trying. No test changes the value of
//! a setting, and none needs a mesh.

use std::{
    ffi::OsStr,
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, net::UnixStream},
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use meshproof::{
    targets::local::{
        container::{ContainerSpec, Identity, RootEntry},
        ns::CapSet,
    },
    toolchain::{images::TreeEntry, stock},
};
use rstest::rstest;

const BIN: &str = env!("CARGO_BIN_EXE_meshproof");

/// Default capabilities of containers, as configured by the node.
const CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The machine's programs, and one of its directories, mounted read-only at `/shown`.
fn tree(shown: &Path) -> Vec<RootEntry> {
    let entry = |entry: TreeEntry| match entry {
        TreeEntry::Bind {
            host,
            at,
            read_only,
        } => RootEntry::Bind {
            host,
            at,
            read_only,
        },
        TreeEntry::File { at, contents } => RootEntry::File { at, contents },
        TreeEntry::Link { at, to } => RootEntry::Link { at, to },
        TreeEntry::Dir { at, mode } => RootEntry::Dir { at, mode },
    };
    let image = stock::shell().expect("the machine's programs");
    let mut tree: Vec<RootEntry> = image.tree.into_iter().map(entry).collect();
    tree.push(RootEntry::Bind {
        host: shown.to_owned(),
        at: "/shown".into(),
        read_only: true,
    });
    tree
}

/// Runs a script as the first process of a container, as user 0 of a world: the machine's root
/// where the tests run as root. `None` where the kernel permits no namespaces, or this user has
/// no range of ids.
fn in_container(script: &str) -> Option<String> {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = fs::canonicalize(scratch.path()).expect("its real path");
    let (root, shown) = (dir.join("root"), dir.join("shown"));
    for made in [&root, &shown, &shown.join("below")] {
        fs::create_dir(made).expect("a directory");
    }
    let spec = ContainerSpec {
        root,
        tree: tree(&shown),
        mounts: Vec::new(),
        read_only_root: false,
        memory: Some(64 << 20),
        identity: Identity {
            capabilities: CapSet::of(CAPABILITIES).expect("known names"),
            ..Identity::default()
        },
        workdir: "/".into(),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        env: vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())],
    };
    let (mut ours, theirs) = UnixStream::pair().expect("a socket");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--propagation", "private"]);
    if !nix::unistd::Uid::effective().is_root() {
        command.args(["--user", "--map-root-user", "--map-auto"]);
    }
    // A file system is mounted below the shared directory, as disks are below a machine's
    // directories.
    let prepare = "mount -t tmpfs below \"$1/below\" && exec \"$0\" __container";
    let child = command
        .args(["sh", "-c", prepare, BIN])
        .arg(&shown)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    drop(command); // this drops its copy of the other end of the socket
    let text = serde_json::to_vec(&spec).expect("JSON");
    let sent = ours
        .write_all(&text)
        .and_then(|()| ours.shutdown(Shutdown::Write));
    let mut refusal = String::new();
    let _ = ours.read_to_string(&mut refusal);
    let output = child.wait_with_output().expect("it ends");
    let answer = String::from_utf8_lossy(&output.stderr).into_owned();
    if answer.contains("unshare: ") {
        eprintln!("SKIPPED: no user namespaces, or no range in /etc/subuid: {answer}");
        return None;
    }
    assert!(sent.is_ok() && refusal.is_empty(), "{refusal}\n{answer}");
    Some(format!(
        "{}{answer}",
        String::from_utf8_lossy(&output.stdout)
    ))
}

/// Opens a file for writing, without writing a byte.
const OPEN: &str =
    "open() { if (: >>\"$1\") 2>/tmp/said; then echo \"OPENED $1\"; else cat /tmp/said; fi; }\n";

#[rstest]
#[case::core_pattern("/proc/sys/kernel/core_pattern")]
#[case::swappiness("/proc/sys/vm/swappiness")]
#[case::sysrq("/proc/sysrq-trigger")]
#[case::mtrr("/proc/mtrr")]
#[case::interrupts("/proc/irq/default_smp_affinity")]
#[case::sysfs("/sys/kernel/mm/transparent_hugepage/enabled")]
fn the_machines_settings_are_read_only_in_containers(#[case] path: &str) {
    if !Path::new(path).exists() {
        return; // this kernel does not have the setting
    }
    let Some(answer) = in_container(&format!("{OPEN}open {path}")) else {
        return;
    };
    assert!(answer.contains("Read-only file system"), "{answer}");
}

#[rstest]
#[case::memory("/proc/kcore")]
#[case::keys("/proc/keys")]
#[case::timers("/proc/timer_list")]
fn what_tells_of_the_machine_is_empty_in_containers(#[case] path: &str) {
    let script = format!("test -e {path} || exit 0; echo \"bytes: $(head -c 10 {path} | wc -c)\"");
    if let Some(answer) = in_container(&script) {
        assert!(answer.is_empty() || answer.contains("bytes: 0"), "{answer}");
    }
}

#[test]
fn masks_cannot_be_taken_off() {
    let script = "
        umount /proc/sys && echo UNMOUNTED
        mount -o remount,rw,bind /proc/sys && echo REMOUNTED
        mkdir /tmp/p && mount -t proc p /tmp/p && echo MOUNTED
        unshare --user --map-root-user --mount sh -c 'mount -t proc p /tmp/p && echo MOUNTED
            mount -o remount,rw,bind /proc/sys && echo REMOUNTED; umount /proc/sys && echo UNMOUNTED'
        echo tried";
    let Some(answer) = in_container(script) else {
        return;
    };
    assert!(answer.contains("tried"), "{answer}");
    for done in ["UNMOUNTED", "REMOUNTED", "MOUNTED"] {
        assert!(!answer.lines().any(|line| line == done), "{answer}");
    }
}

#[test]
fn device_nodes_work_and_stay_as_they_are() {
    let script = "
        echo x >/dev/null && head -c 3 /dev/zero | wc -c
        chmod 0666 /dev/null; chown 0:0 /dev/null; touch /dev/zero";
    let Some(answer) = in_container(script) else {
        return;
    };
    assert!(answer.lines().next() == Some("3"), "{answer}");
    assert_eq!(
        answer.matches("Read-only file system").count(),
        3,
        "{answer}"
    );
}

#[test]
fn what_is_mounted_below_a_directory_of_an_image_is_read_only_too() {
    let script = format!("{OPEN}open /shown/file; open /shown/below/file");
    let Some(answer) = in_container(&script) else {
        return;
    };
    assert_eq!(
        answer.matches("Read-only file system").count(),
        2,
        "{answer}"
    );
}

#[test]
fn a_container_cannot_fill_the_machine() {
    let script = "
        dd if=/dev/zero of=/big bs=1M count=400 2>&1 | grep -o 'No space left' | head -n 1
        ulimit -d";
    let Some(answer) = in_container(script) else {
        return;
    };
    // Twice the limit of 64 MiB, and 1 GiB, in KiB.
    let limit = (2 * 64 + 1024) * 1024;
    assert_eq!(answer, format!("No space left\n{limit}\n"));
}

/// The binary in a clean environment.
fn meshproof(home: &Path) -> Command {
    let mut command = Command::new(BIN);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home);
    command
}

/// The directory in which worlds have their state, according to `doctor`.
fn state_directory(command: &mut Command) -> String {
    let output = command
        .args(["doctor", "--target", "local", "-o", "json"])
        .output()
        .expect("it starts");
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let checks = report["checks"].as_array().expect("checks");
    let state = checks
        .iter()
        .find(|check| check["name"] == "state directory");
    state.expect("doctor checks it")["found"].to_string()
}

#[test]
fn a_state_directory_that_somebody_else_could_have_made_is_not_used() {
    let (home, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let chmod = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mine");
    };
    // As /tmp: anyone can create names in it.
    chmod(open.path(), 0o1777);
    let answer = state_directory(meshproof(home.path()).env("XDG_RUNTIME_DIR", open.path()));
    let inside = open.path().display().to_string();
    assert!(
        !answer.contains(&inside) && !answer.contains("/tmp/meshproof-"),
        "{answer}"
    );
    assert_eq!(fs::read_dir(open.path()).unwrap().count(), 0);
    // The same directory, closed to others.
    chmod(open.path(), 0o700);
    let answer = state_directory(meshproof(home.path()).env("XDG_RUNTIME_DIR", open.path()));
    assert!(answer.contains(&inside), "{answer}");
    // An existing path must belong to the user and must not be a link.
    fs::remove_dir(open.path().join("meshproof")).unwrap();
    let victim = tempfile::tempdir().unwrap();
    fs::create_dir(victim.path().join("project")).unwrap();
    chmod(victim.path(), 0o755);
    std::os::unix::fs::symlink(victim.path(), open.path().join("meshproof")).unwrap();
    let answer = state_directory(meshproof(home.path()).env("XDG_RUNTIME_DIR", open.path()));
    assert!(answer.contains("it is a symbolic link"), "{answer}");
    assert!(victim.path().join("project").exists());
}

#[rstest]
#[case::files("ulimit -n 64", "64 open files (ulimit -n)")]
#[case::address_space("ulimit -v 4000000", "bytes of address space (ulimit -v)")]
fn a_limit_that_is_too_low_is_named_before_anything_starts(
    #[case] limit: &str,
    #[case] answer: &str,
) {
    let home = tempfile::tempdir().unwrap();
    let output = limited(home.path(), limit, "target up --name limited");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains(answer), "{message}");
    assert_eq!(output.status.code(), Some(3), "{message}");
}

#[test]
fn a_full_state_directory_is_named_before_anything_starts() {
    let home = tempfile::tempdir().unwrap();
    let mount = "mkdir $HOME/run && mount -t tmpfs -o size=16k,mode=700 full $HOME/run";
    let script = format!("{mount} && XDG_RUNTIME_DIR=$HOME/run exec {BIN} target up --name full");
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !nix::unistd::Uid::effective().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .args(["sh", "-c", &script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home.path())
        .output()
        .expect("unshare starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if message.contains("unshare failed") {
        return;
    }
    assert!(
        message.contains("KiB left and a local target needs"),
        "{message}"
    );
    assert_eq!(output.status.code(), Some(3), "{message}");
}

fn limited(home: &Path, limit: &str, command: &str) -> Output {
    let script = format!("{limit}; exec {BIN} {command}");
    Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .output()
        .expect("sh starts")
}

#[test]
fn a_small_stack_and_a_small_file_are_no_crash() {
    let home = tempfile::tempdir().unwrap();
    let output = limited(home.path(), "ulimit -s 64", "schema");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let file = home.path().join("schema.json");
    let command = format!("schema >{}", file.display());
    let output = limited(home.path(), "ulimit -f 1", &command);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("File too large"), "{message}");
}

#[rstest]
#[case::a_command(b"\xff", 2)]
#[case::a_report_directory(b"run --report-dir out/\xff no/such/scenario", 2)]
#[case::a_role(b"__world \xff", 2)]
fn words_that_are_no_utf8_are_no_panic(#[case] args: &[u8], #[case] code: i32) {
    let home = tempfile::tempdir().unwrap();
    let args = args.split(|byte| *byte == b' ').map(OsStr::from_bytes);
    let output = meshproof(home.path())
        .args(args)
        .output()
        .expect("it starts");
    let answer = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!answer.contains("panicked"), "{answer}");
    assert_eq!(output.status.code(), Some(code), "{answer}");
}

#[rstest]
#[case("../../x")]
#[case("")]
#[case("/etc")]
#[case("a b")]
fn a_name_that_leads_elsewhere_is_refused(#[case] name: &str) {
    let home = tempfile::tempdir().unwrap();
    let output = meshproof(home.path())
        .args(["target", "up", "--name", name])
        .output()
        .expect("it starts");
    let answer = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{answer}");
    assert!(
        answer.contains("cannot be the name of a target"),
        "{answer}"
    );
}
