//! The holder of a run's Lease: a process that others on the same machine can look up.

use std::{fs, process};

/// Identifies a process by boot, PID namespace, PID and start time (proc(5), field 22 of `stat`).
/// A later process with the same PID differs, and so does one of another boot or container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    boot: String,
    namespace: String,
    process: String,
}

impl Holder {
    /// This process.
    pub fn own() -> Self {
        Self::of(process::id())
    }

    fn of(pid: u32) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let number: String = namespace
            .to_string_lossy()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let start = started(pid).unwrap_or_default();
        Self {
            boot: read("/proc/sys/kernel/random/boot_id").trim().to_owned(),
            namespace: number,
            process: format!("{pid}.{start}"),
        }
    }

    /// The value of `holderIdentity`.
    pub fn identity(&self) -> String {
        format!("{}/{}/{}", self.boot, self.namespace, self.process)
    }

    /// Whether the holder was a process of this boot and PID namespace that has ended. `false` if
    /// this process cannot know.
    pub fn is_gone(identity: &str) -> bool {
        let mut parts = identity.split('/');
        let (Some(boot), Some(namespace), Some(named), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let here = Self::own();
        let known = !boot.is_empty() && !namespace.is_empty();
        let pid = named.split('.').next().and_then(|pid| pid.parse().ok());
        match pid {
            Some(pid) if known && here.boot == boot && here.namespace == namespace => {
                Self::of(pid).process != named
            }
            _ => false,
        }
    }
}

fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    // A zombie does nothing more.
    let ended = matches!(fields.next(), Some("Z" | "X"));
    let start = fields.nth(18)?;
    (!ended).then(|| start.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_lives_is_not_gone_and_one_that_ended_is() {
        let own = Holder::own().identity();
        assert!(!Holder::is_gone(&own), "{own}");
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Holder::of(child.id()).identity();
        assert!(!Holder::is_gone(&other), "{other}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Holder::is_gone(&other), "{other}");
    }

    #[test]
    fn a_later_process_of_the_same_number_is_another() {
        let own = Holder::own();
        let earlier = Holder {
            process: format!("{}.1", process::id()),
            ..own
        };
        assert!(Holder::is_gone(&earlier.identity()));
    }

    #[test]
    fn nobody_knows_of_other_machines_and_other_containers() {
        let elsewhere = Holder {
            boot: "another".into(),
            process: "1.1".into(),
            ..Holder::own()
        };
        let beside = Holder {
            namespace: "1".into(),
            process: "1.1".into(),
            ..Holder::own()
        };
        for identity in [
            elsewhere.identity(),
            beside.identity(),
            "x".into(),
            String::new(),
            "//1.1".into(),
        ] {
            assert!(!Holder::is_gone(&identity), "{identity}");
        }
    }
}
