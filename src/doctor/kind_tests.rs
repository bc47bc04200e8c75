use rstest::rstest;

use super::*;
use crate::doctor::{
    CheckState::{self, Advice, Missing},
    answer::NoAnswer,
    docker::Engine,
};

fn refused(message: &str) -> NoAnswer {
    NoAnswer::Refused(message.to_owned())
}

fn program(version: Result<&str, &str>) -> FoundProgram {
    FoundProgram {
        path: Some("/usr/bin/thing".into()),
        version: Some(version.map(str::to_owned).map_err(refused)),
    }
}

fn facts(engine: Result<Engine, &str>) -> KindFacts {
    KindFacts {
        machine: MachineFacts::default(),
        docker: DockerFacts {
            client: program(Ok("28.2.2")),
            daemon: None,
            host: None,
            user: "ann".to_owned(),
            engine: engine.map_err(refused),
            clusters: Vec::new(),
        },
        kind: program(Ok("kind v0.29.0 go1.24.2 linux/amd64")),
        istioctl: Istioctl {
            program: program(Ok("client version: 1.27.1")),
            given: None,
            ours: false,
            expected: None,
        },
        testbed: Ok("/opt/testbed".into()),
        chain: true,
        kernel: Kernel {
            resource: Some(false),
            ..Kernel::default()
        },
        name: None,
    }
}

fn here() -> Engine {
    Engine {
        here: true,
        default_runtime: "runc".to_owned(),
        ..Engine::default()
    }
}

#[rstest]
#[case(program(Ok("kind v0.29.0 go1.24.2 linux/amd64")), CheckState::Ok)]
#[case(program(Ok("kind v0.20.0 go1.20.4 linux/amd64")), Advice)]
#[case(program(Err("exec format error")), Missing)]
#[case(FoundProgram::default(), Missing)]
fn kind_has_three_outcomes(#[case] program: FoundProgram, #[case] state: CheckState) {
    assert_eq!(super::kind(&program).state, state);
}

#[rstest]
#[case::there(program(Ok("client version: 1.27.1")), false, None, CheckState::Ok)]
#[case::as_asked(
    program(Ok("client version: 1.27.1")),
    false,
    Some("1.27.1"),
    CheckState::Ok
)]
#[case::another(program(Ok("client version: 1.27.1")), false, Some("1.27"), Missing)]
#[case::ours(program(Ok("client version: 1.31-dev")), true, None, Advice)]
#[case::ours_as_asked(
    program(Ok("client version: 1.31-dev")),
    true,
    Some("1.31-dev"),
    CheckState::Ok
)]
#[case::broken(program(Err("exec format error")), false, None, Missing)]
#[case::absent(FoundProgram::default(), true, None, Missing)]
fn istioctl_has_three_outcomes(
    #[case] program: FoundProgram,
    #[case] ours: bool,
    #[case] expected: Option<&str>,
    #[case] state: CheckState,
) {
    let facts = Istioctl {
        program,
        given: None,
        ours,
        expected: expected.map(str::to_owned),
    };
    let check = super::istioctl(&facts);
    assert_eq!(check.state, state, "{check:?}");
}

#[test]
fn an_istioctl_that_is_named_and_not_there_is_named_again() {
    let facts = Istioctl {
        program: FoundProgram::default(),
        given: Some("/opt/istioctl".into()),
        ours: false,
        expected: None,
    };
    let check = super::istioctl(&facts);
    assert!(check.found.contains("/opt/istioctl"), "{check:?}");
}

#[rstest]
#[case(true, CheckState::Ok)]
#[case(false, Advice)]
fn a_tool_chain_is_worth_having(#[case] ready: bool, #[case] state: CheckState) {
    assert_eq!(chain(ready).state, state);
}

#[rstest]
#[case(Some(8192), CheckState::Ok)]
#[case(Some(512), CheckState::Ok)]
#[case(Some(511), Advice)]
#[case(Some(64), Advice)]
#[case(Some(63), Missing)]
#[case(None, Advice)]
fn inotify_instances(#[case] found: Option<u64>, #[case] state: CheckState) {
    assert_eq!(instances(found).state, state);
}

#[rstest]
#[case(Some(65_536), CheckState::Ok)]
#[case(Some(8_192), Advice)]
#[case(Some(100), Missing)]
#[case(None, Advice)]
fn inotify_watches(#[case] found: Option<u64>, #[case] state: CheckState) {
    assert_eq!(watches(found).state, state);
}

#[rstest]
#[case(&["cpu", "memory", "pids", "io"], CheckState::Ok, "cpu, io, memory, pids")]
#[case(&["cpu", "pids"], Missing, "memory missing")]
#[case(&[], Advice, "not visible")]
fn cgroup_controllers(#[case] found: &[&str], #[case] state: CheckState, #[case] message: &str) {
    let check = controllers(&found.iter().map(|&name| name.to_owned()).collect());
    assert!(
        check.state == state && check.found.contains(message),
        "{check:?}"
    );
}

#[rstest]
#[case::has_it(Ok(here()), Some(true), Some(CheckState::Ok))]
#[case::lacks_it(Ok(here()), Some(false), Some(Missing))]
#[case::no_engine_yet(Err("not running"), Some(false), Some(Missing))]
#[case::another_runtime(Ok(Engine { default_runtime: "offline".to_owned(), ..here() }), Some(false), Some(Advice))]
#[case::rootless(Ok(Engine { rootless: true, ..here() }), Some(false), None)]
#[case::not_visible(Ok(here()), None, None)]
fn the_capability_of_privileged_containers(
    #[case] engine: Result<Engine, &str>,
    #[case] resource: Option<bool>,
    #[case] state: Option<CheckState>,
) {
    let mut facts = facts(engine);
    facts.kernel.resource = resource;
    assert_eq!(privileges(&facts).map(|check| check.state), state);
}

#[test]
fn of_an_engine_elsewhere_this_kernel_says_nothing() {
    let names = |engine: Engine| -> Vec<String> {
        let checks = checks(&facts(Ok(engine)));
        checks.into_iter().map(|check| check.name).collect()
    };
    let concerned = |names: &[String]| names.iter().any(|name| name.starts_with("inotify"));
    assert!(concerned(&names(here())));
    assert!(!concerned(&names(Engine::default())));
}
