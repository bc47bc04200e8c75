use super::*;

fn model(kinds: Vec<EventKind>) -> Model {
    let events: Vec<_> = kinds
        .into_iter()
        .map(|kind| Event { at_ms: 1, kind })
        .collect();
    Model::from_events(&events)
}

#[test]
fn a_failure_without_a_beginning_is_still_an_error() {
    let failed = EventKind::PhaseEnded {
        phase: "bring-up".into(),
        ms: 3,
        error: Some("no kernel".into()),
    };
    let model = model(vec![failed, EventKind::RunEnded { wall_ms: 4 }]);
    let failures = model.failures();
    let reported: Vec<_> = failures.iter().map(|f| (f.part, f.message())).collect();
    assert_eq!(reported, [(Part::BringUp, "no kernel".to_owned())]);
    assert_eq!((model.counts().error, model.exit()), (1, Exit::Error));
}

/// The inner phase says where it happened, the outer one why in full; both are one error.
#[test]
fn a_bring_up_that_fails_is_told_once() {
    let failed = |phase: &str, error: &str| EventKind::PhaseEnded {
        phase: phase.into(),
        ms: 3,
        error: Some(error.into()),
    };
    let model = model(vec![
        failed("tool chain", "no go"),
        failed("bring-up", "no go: not found on PATH"),
    ]);
    let failures: Vec<_> = model.failures().iter().map(Failure::message).collect();
    assert_eq!(failures, ["tool chain: no go: not found on PATH"]);
}

#[test]
fn what_fails_after_the_target_was_up_is_no_bring_up() {
    let failed = |phase: &str, error: &str| EventKind::PhaseEnded {
        phase: phase.into(),
        ms: 3,
        error: Some(error.into()),
    };
    let ready = EventKind::TargetReady {
        versions: BTreeMap::new(),
        capabilities: vec![],
        lacks: vec![],
    };
    let reported = |kinds: Vec<EventKind>| {
        let failures = model(kinds).failures();
        let reported = failures
            .iter()
            .map(|f| format!("{} / {}", f.part.name(), f.message()));
        reported.collect::<Vec<_>>()
    };
    assert_eq!(
        reported(vec![ready.clone(), failed("bring-up", "etcd ended")]),
        ["run / etcd ended"]
    );
    let down = failed("tear-down", "busy");
    assert_eq!(
        reported(vec![ready, down, failed("bring-up", "busy: a mount")]),
        ["tear-down / busy: a mount"]
    );
}

/// In logs without attempt numbers, starting again creates a new record with the same plan.
#[test]
fn a_scenario_that_starts_again_keeps_what_was_planned() {
    let id = || "a/b".to_owned();
    let planned = EventKind::ScenarioPlanned {
        id: id(),
        attempt: 0,
        title: "t".into(),
        area: "a".into(),
        proves: vec!["B1".into()],
        level: Level::Provisional,
        file: "f".into(),
        again: vec!["/x/f".into()],
    };
    let started = EventKind::ScenarioStarted {
        id: id(),
        attempt: 0,
    };
    let ended = EventKind::ScenarioEnded(Box::new(ScenarioEnd {
        id: id(),
        attempt: 0,
        verdict: Verdict::Pass,
        cause: "c".into(),
        class: None,
        wall_ms: 1,
        min_ms: 1,
        samples: [("calls".to_owned(), 1)].into(),
        known: None,
    }));
    let model = model(vec![planned, started.clone(), ended, started]);
    let [first, second] = &model.scenarios[..] else {
        panic!("{:?}", model.scenarios);
    };
    let planned_of = |s: &ScenarioReport| {
        (
            s.plan.title.clone(),
            s.plan.proves.clone(),
            s.plan.level,
            s.plan.again.clone(),
        )
    };
    assert_eq!(planned_of(first), planned_of(second));
    assert_eq!(second.plan.level, Level::Provisional);
    assert_eq!((second.attempt, second.end.samples.len()), (2, 0));
}

#[test]
fn a_run_that_stops_without_an_end_is_never_a_success() {
    assert_eq!(model(vec![]).exit(), Exit::Error);
    assert_eq!(
        model(vec![EventKind::Interrupted {
            signal: "SIGTERM".into()
        }])
        .exit(),
        Exit::TERMINATED
    );
}
