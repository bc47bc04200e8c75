use std::{collections::BTreeSet, io, time::Duration};

use kube::core::Status;
use rstest::rstest;

use super::*;
use crate::{
    cluster::object::ObjectError,
    errors::Trouble,
    mesh::istio::{
        istioctl::IstioctlError,
        propagation::{
            change::PropagationError,
            endpoints::{EndpointsError, Withheld},
        },
    },
    observe::{data_plane::AskError, testbed::CallerError},
    plan::resolve::ResolveError,
    run::{
        namespace::error::{NamespaceError, ReachError},
        probe::{error::ProbeError, in_flight::InFlightError},
        step::error::{ManifestError, RestartError, VersusError},
    },
    scenario::workload_file::WorkloadFileError,
    transport::{DialError, Unreachable, http::HttpError},
};

fn at_step(source: impl Into<StepError>) -> ScenarioError {
    ScenarioError::Step {
        number: StepNumber::WORLD.next(),
        what: "probe one".to_owned(),
        source: Box::new(source.into()),
    }
}

fn undialled(source: Unreachable) -> HttpError {
    HttpError::Dial(DialError::Refused {
        namespace: "ns".to_owned(),
        pod: "p".to_owned(),
        port: 15999,
        source,
    })
}

fn no_node() -> HttpError {
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    undialled(Unreachable::Node(refused))
}

fn refused(code: u16) -> kube::Error {
    kube::Error::Api(Status::failure("no room", "Full").with_code(code).boxed())
}

fn withheld() -> Withheld {
    Withheld {
        who: "istiod".to_owned(),
        what: "Service greeter".to_owned(),
        expected: BTreeSet::from(["10.0.0.1".to_owned()]),
        seen: BTreeSet::new(),
        limit: Duration::from_secs(20),
    }
}

fn stalled() -> Trouble {
    Trouble::new("this machine stalled for 9000 ms", ErrorClass::Machine)
}

/// The causes of ERRORs as people read them, from the outermost error to the innermost, and their
/// classes.
#[rstest]
#[case::a_workload_that_nobody_has(
    ScenarioError::Workload(WorkloadFileError::Missing {
        name: "nowhere.yaml".to_owned(),
        built_in: "caller".to_owned(),
    }),
    "no workload file nowhere.yaml beside the scenario or in fixtures/workloads; built-in files: caller",
    ErrorClass::Input
)]
#[case::a_namespace_that_is_not_made(
    ScenarioError::World(StepError::Place(NamespaceError::Pods {
        workload: "greeter".to_owned(),
        expected: 2,
        seconds: 180.04,
        last: "pod greeter-1: Pending".to_owned(),
    })),
    "the pods of greeter are not in the expected state (2 ready) after 180.0 s:\npod greeter-1: Pending",
    ErrorClass::Mesh
)]
#[case::a_caller_that_cannot_be_reached(
    at_step(ProbeError::Testbed(CallerError::Http(no_node()))),
    "step 1 (probe one): cannot reach port 15999 of pod ns/p: the node does not answer: connection refused",
    ErrorClass::Harness
)]
#[case::a_caller_whose_node_says_no(
    at_step(ProbeError::Testbed(CallerError::Http(undialled(Unreachable::Refused(
        "no such pod".to_owned()
    ))))),
    "step 1 (probe one): cannot reach port 15999 of pod ns/p: no such pod",
    ErrorClass::Harness
)]
#[case::a_caller_that_stopped(
    at_step(ProbeError::Testbed(CallerError::Stopped {
        calls: 3,
        message: "its lease ran out".to_owned(),
    })),
    "step 1 (probe one): the caller stopped after 3 calls: its lease ran out",
    ErrorClass::Harness
)]
#[case::a_proxy_that_says_nothing(
    at_step(ProbeError::Proxy(AskError::Http(HttpError::Silent {
        what: "/config_dump".to_owned(),
        pod: "p".to_owned(),
        limit: Duration::from_secs(10),
    }))),
    "step 1 (probe one): /config_dump of pod p did not answer within 10s",
    ErrorClass::Mesh
)]
#[case::a_control_port_that_is_broken(
    at_step(StepError::Server(HttpError::Exchange {
        what: "/v1/script".to_owned(),
        pod: "p".to_owned(),
        source: "connection closed".into(),
    })),
    "step 1 (probe one): /v1/script of pod p: connection closed",
    ErrorClass::Harness
)]
#[case::an_istiod_that_cannot_be_asked(
    at_step(NamespaceError::Live(PropagationError::Istiod(std::sync::Arc::new(no_node())))),
    "step 1 (probe one): cannot query istiod: cannot reach port 15999 of pod ns/p: the node does not answer: connection refused",
    ErrorClass::Mesh
)]
#[case::a_proxy_that_is_late(
    at_step(NamespaceError::Live(PropagationError::NotLive {
        proxy: "p".to_owned(),
        epoch: 3,
        limit: Duration::from_secs(20),
        last: "epoch 2".to_owned(),
    })),
    "step 1 (probe one): proxy p did not show epoch 3 within 20s; last seen: epoch 2",
    ErrorClass::Mesh
)]
#[case::a_manifest_that_is_refused(
    at_step(NamespaceError::Object(ObjectError::NoSuchKind {
        api_version: "a/v1".to_owned(),
        kind: "Gate".to_owned(),
        name: "g".to_owned(),
    })),
    "step 1 (probe one): Gate g: the API server has no a/v1 Gate; is the group spelled right and its CRD installed?",
    ErrorClass::Input
)]
#[case::a_manifest_that_is_not_there(
    at_step(ManifestError::Missing("area/a.b.yaml".to_owned())),
    "step 1 (probe one): manifest area/a.b.yaml does not exist",
    ErrorClass::Input
)]
#[case::endpoints_while_the_machine_stood_still(
    at_step(NamespaceError::from(EndpointsError::Excused { cause: stalled(), withheld: withheld() })),
    "step 1 (probe one): this machine stalled for 9000 ms: expected: istiod has the endpoints 10.0.0.1 of Service greeter; actual: missing 10.0.0.1 after 20s",
    ErrorClass::Machine
)]
#[case::endpoints_that_istiod_was_not_told_of(
    at_step(NamespaceError::from(EndpointsError::Untold {
        withheld: withheld(),
        reported: BTreeSet::new(),
        unasked: None,
    })),
    "step 1 (probe one): expected: istiod has the endpoints 10.0.0.1 of Service greeter; actual: missing 10.0.0.1 after 20s; the API server's EndpointSlices list {} ",
    ErrorClass::Mesh
)]
#[case::a_cluster_that_does_not_list(
    at_step(NamespaceError::Reach(ReachError::List { what: "Services", error: Box::new(refused(503)) })),
    "step 1 (probe one): cannot list Services: ApiError: no room: Full (Status { status: Some(Failure), code: 503, \
     message: \"no room\", metadata: None, reason: \"Full\", details: None })",
    ErrorClass::Mesh
)]
#[case::a_claim_that_had_no_time(
    at_step(StepError::Slowed { cause: stalled(), probe: "one".to_owned(), within: "5s".to_owned() }),
    "step 1 (probe one): this machine stalled for 9000 ms during the 5s in which probe one had to hold",
    ErrorClass::Machine
)]
#[case::calls_that_hang(
    at_step(StepError::GivenUp { probe: "one".to_owned(), message: "1 of 4 calls did not end".to_owned() }),
    "step 1 (probe one): one: 1 of 4 calls did not end",
    ErrorClass::Harness
)]
#[case::a_probe_that_nobody_has(
    at_step(ResolveError::NoProbe("two".to_owned())),
    "step 1 (probe one): no probe is named 'two'",
    ErrorClass::Input
)]
#[case::a_background_that_holds_nothing(
    at_step(ProbeError::LeastRequest(InFlightError::NoneHeld)),
    "step 1 (probe one): 'least-request': no background probe without `rate` holds a call",
    ErrorClass::Input
)]
#[case::a_background_whose_calls_do_not_come(
    ScenarioError::Background(StepError::Probe(ProbeError::Busy(InFlightError::NotArrived {
        arrived: 1,
        expected: 4,
        limit: Duration::from_secs(10),
        counts: "greeter-1 1".to_owned(),
    }))),
    "1 of the 4 calls that the background holds were in progress after 10s: greeter-1 1",
    ErrorClass::Harness
)]
#[case::a_pod_that_stays(
    at_step(RestartError::Stays {
        pod: "p".to_owned(),
        limit: Duration::from_secs(120),
        last: "no pod was created".to_owned(),
    }),
    "step 1 (probe one): pod p still exists after 120s: no pod was created",
    ErrorClass::Mesh
)]
#[case::a_cost_that_has_no_pair(
    at_step(VersusError::Several("one".to_owned())),
    "step 1 (probe one): probe one must be a single run, without `cases`",
    ErrorClass::Input
)]
#[case::a_tool_that_is_missing(
    at_step(ProbeError::Istioctl(IstioctlError::Start {
        program: "/x/istioctl".into(),
        source: io::Error::from(io::ErrorKind::NotFound),
    })),
    "step 1 (probe one): cannot run /x/istioctl: entity not found",
    ErrorClass::Machine
)]
#[case::a_control_call_that_fails(
    ScenarioError::Control(ControlError::Failed {
        workload: "caller".to_owned(),
        message: "status 14 reset".to_owned(),
    }),
    "the control call of caller to a plain server failed: status 14 reset",
    ErrorClass::Harness
)]
#[case::a_control_call_that_is_not_made(
    ScenarioError::Control(ControlError::Caller(CallerError::Refused("no such plan".to_owned()))),
    "the control call could not be made: the caller rejected the calls: no such plan",
    ErrorClass::Harness
)]
fn an_error_is_told_on_one_line_with_its_class(
    #[case] error: ScenarioError,
    #[case] message: &str,
    #[case] class: ErrorClass,
) {
    assert_eq!(Trouble::of(&error), Trouble::new(message, class));
}
