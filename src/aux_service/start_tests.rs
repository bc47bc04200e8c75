use std::{convert::Infallible, time::Duration};

use super::*;
use crate::{
    aux_service::{ReadinessCheck, system::testing::system},
    wait::{self, Look},
};

/// Becomes ready, and lives until it is killed.
const LIVES: &[&str] = &["-c", "echo ready; echo more >&2; exec sleep 600"];

fn alive(pid: &str) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_program_is_ready_when_its_log_says_so_and_ends_when_it_is_dropped() {
    let mut reported = system("/bin/sh", LIVES);
    reported.args[1] = format!("echo $$; {}", reported.args[1]);
    let side = AuxService::start(&reported).await.unwrap();
    assert!(!side.is_container());
    let pid = side
        .log()
        .await
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    assert!(alive(&pid));
    drop(side);
    let gone = wait::until(Duration::from_secs(10), async |_| {
        Ok::<_, Infallible>(match alive(&pid) {
            true => Look::Unmet(format!("process {pid} outlived its handle")),
            false => Look::Met(()),
        })
    });
    assert_eq!(gone.await, Ok(()));
}

#[tokio::test]
async fn one_that_is_never_ready_is_told_with_its_last_words() {
    let mut late = system("/bin/sh", LIVES);
    late.ready = ReadinessCheck::Log("never said".to_owned());
    late.deadline = Duration::from_millis(500);
    let answer = AuxService::start(&late).await.err().unwrap().to_string();
    for part in ["not ready within 500ms", "never said", "| more"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

#[tokio::test]
async fn one_that_does_not_answer_is_told_with_what_was_seen_last() {
    let mut deaf = system("/bin/sh", LIVES);
    deaf.ports = vec![80];
    deaf.ready = ReadinessCheck::Http {
        port: 80,
        path: "/".to_owned(),
    };
    deaf.deadline = Duration::from_millis(500);
    let answer = AuxService::start(&deaf).await.err().unwrap().to_string();
    assert!(answer.contains("last seen: Connection refused"), "{answer}");
}

#[tokio::test]
async fn side_that_ends_before_it_is_ready_is_told_at_once() {
    let ends = system("/bin/sh", &["-c", "echo broken configuration >&2; exit 7"]);
    let answer = AuxService::start(&ends).await.err().unwrap().to_string();
    for part in [
        "exited before it was ready",
        "exit status: 7",
        "| broken configuration",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let answer = AuxService::start(&system("/does/not/exist", &[])).await;
    let answer = answer.err().unwrap().to_string();
    assert!(answer.contains("cannot start /does/not/exist"), "{answer}");
}

#[tokio::test]
async fn side_without_image_and_program_is_refused() {
    let mut none = system("/x", &[]);
    none.program = None;
    let answer = AuxService::start(&none).await.err().unwrap().to_string();
    assert!(
        answer.contains("neither an image nor a program"),
        "{answer}"
    );
}

#[cfg(not(feature = "containers"))]
#[tokio::test]
async fn a_build_without_containers_says_so_and_uses_the_program() {
    let image = || ContainerImage {
        name: "x:1".to_owned(),
        pull: false,
    };
    let mut both = system("/bin/sh", LIVES);
    both.image = Some(image());
    assert!(AuxService::start(&both).await.is_ok());
    let answer = AuxService::from_image(&both, &image()).await.err().unwrap();
    assert!(
        answer.to_string().contains("built without containers"),
        "{answer}"
    );
}
