//! Foreign objects are not touched, and nothing is left behind: the writer, the journal and the
//! sweep against an in-memory API server.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    fake::{Fake, NOW},
    holder::Holder,
    journal::JOURNAL,
    lease::LEASE,
    namespaces::{self, KEPT_LABEL, SCENARIO},
    object::{ObjectError, RUN_LABEL},
    runs::{self, CONTROL, RunState, SweepScope, Swept, control},
    writer::{Home, Writer},
};

const OWN: &str = "mp-x1-3-a";

fn home(outside: bool) -> Home<'static> {
    Home {
        namespace: OWN,
        outside,
    }
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

/// A writer of an active run, with its control namespace and its journal.
async fn writer(fake: &Fake) -> Writer {
    let writer = Writer::new(&fake.client(), "x1");
    writer.claim(&control("x1"), "control").await.unwrap();
    writer.journal().begin("x1").await.unwrap();
    writer.claim(OWN, "a").await.unwrap();
    writer
}

#[rstest::rstest]
#[case::of_istio(
    object("v1", "ConfigMap", Some("istio-system"), "a"),
    "namespace istio-system"
)]
#[case::role(
    object("rbac.authorization.k8s.io/v1", "ClusterRole", None, "a"),
    "whole cluster"
)]
#[case::not_in_any_list(object("example.test/v1", "Mesh", None, "a"), "whole cluster")]
#[case::path(object("v1", "ConfigMap", None, "../../x"), "metadata.name")]
#[tokio::test]
async fn what_lies_outside_is_refused_before_anything_is_sent(
    #[case] object: Value,
    #[case] message: &str,
) {
    let fake = Fake::default();
    let writer = writer(&fake).await;
    let before = fake.writes();
    let error = writer.apply(&object, home(false)).await.unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(fake.writes(), before);
}

#[tokio::test]
async fn kinds_are_named_as_the_server_names_them() {
    let fake = Fake::default();
    let writer = writer(&fake).await;
    let written = writer
        .apply(&object("example.test/v1", "Ox", None, "a"), home(false))
        .await
        .unwrap();
    let path = format!("/apis/example.test/v1/namespaces/{OWN}/oxen/a");
    assert!(fake.get(&path).is_some(), "{:?}", fake.paths());
    writer.delete(&written).await.unwrap();
    assert!(fake.get(&path).is_none());
    let error = writer
        .apply(&object("example.test/v1", "Ass", None, "a"), home(false))
        .await;
    assert!(
        matches!(error, Err(ObjectError::NoSuchKind { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_may_lie_outside_is_noted_before_and_removed_by_uid() {
    let fake = Fake::default();
    let writer = writer(&fake).await;
    let role = object("rbac.authorization.k8s.io/v1", "ClusterRole", None, "r");
    let written = writer.apply(&role, home(true)).await.unwrap();
    let journal = format!(
        "PATCH /api/v1/namespaces/{}/configmaps/{JOURNAL}",
        control("x1")
    );
    let made = "POST /apis/rbac.authorization.k8s.io/v1/clusterroles".to_owned();
    let writes = fake.writes();
    let at = |what: &String| writes.iter().position(|write| write == what).unwrap();
    assert!(at(&journal) < at(&made), "{writes:?}");
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/r";
    assert_eq!(
        fake.get(path).unwrap()["metadata"]["labels"][RUN_LABEL],
        "x1"
    );
    let again = writer.apply(&role, home(true)).await.unwrap();
    assert_eq!(again.uid, written.uid, "it may be applied again");
    assert_eq!(writer.journal().entries().await.unwrap().len(), 1);

    assert_eq!(
        writer
            .remove_outside(std::slice::from_ref(&written), OWN)
            .await,
        Vec::<String>::new()
    );
    assert!(fake.get(path).is_none());
    assert!(writer.journal().entries().await.unwrap().is_empty());

    // Another object with the same name stays.
    fake.put(path, json!({"kind": "ClusterRole", "metadata": {}}));
    assert_eq!(
        writer.remove_outside(&[written], OWN).await,
        Vec::<String>::new()
    );
    assert!(fake.get(path).is_some());
}

#[tokio::test]
async fn what_was_there_is_neither_changed_nor_removed() {
    let fake = Fake::default();
    let writer = writer(&fake).await;
    let path = "/api/v1/namespaces/kube-system/configmaps/coredns";
    fake.put(
        path,
        json!({"kind": "ConfigMap", "metadata": {}, "data": {"a": "theirs"}}),
    );
    let before = fake.get(path);
    let mut own = object("v1", "ConfigMap", Some("kube-system"), "coredns");
    own["data"] = json!({"a": "ours"});
    let error = writer.apply(&own, home(true)).await.unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    assert_eq!(fake.get(path), before);
    assert!(writer.journal().entries().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_field_of_somebody_else_is_not_taken() {
    let fake = Fake::default();
    let writer = writer(&fake).await;
    let path = format!("/api/v1/namespaces/{OWN}/configmaps/a");
    for (owner, taken) in [("kubectl-edit", false), ("meshproof", true)] {
        fake.with(|inner| inner.owners.insert(path.clone(), owner.to_owned()));
        let done = writer
            .apply(&object("v1", "ConfigMap", None, "a"), home(false))
            .await;
        match done {
            Ok(_) => assert!(taken, "{owner}"),
            Err(error) => assert!(
                !taken
                    && error
                        .to_string()
                        .contains("field manager kubectl-edit owns"),
                "{error}"
            ),
        }
    }
}

#[tokio::test]
async fn a_namespace_that_is_there_is_not_taken_over() {
    let fake = Fake::default();
    fake.put(
        "/api/v1/namespaces/mp-x1-3-a",
        json!({"kind": "Namespace", "metadata": {}}),
    );
    let writer = Writer::new(&fake.client(), "x1");
    let error = writer.claim(OWN, "a").await.unwrap_err();
    assert!(matches!(error, ObjectError::Foreign { .. }), "{error}");
}

/// Creates the objects of a run: its control namespace with a Lease, one more namespace, and one
/// that is kept.
fn run(fake: &Fake, id: &str, holder: &str, renewed: &str) {
    let space = |name: &str, kept: bool| {
        let mut labels = json!({RUN_LABEL: id});
        if kept {
            labels[KEPT_LABEL] = "true".into();
        }
        let object = json!({"kind": "Namespace", "metadata": {"labels": labels, "creationTimestamp": "2026-11-30T11:00:00Z",
            "annotations": {SCENARIO: "a", CONTROL: control(id)}}});
        fake.put(&format!("/api/v1/namespaces/{name}"), object);
    };
    space(&control(id), false);
    space(&format!("mp-{id}-1-a"), false);
    space(&format!("mp-{id}-2-b"), true);
    let lease = json!({"kind": "Lease", "metadata": {"labels": {RUN_LABEL: id}},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": renewed}});
    let path = format!(
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases/{LEASE}",
        control(id)
    );
    fake.put(&path, lease);
}

/// A journal line for a ClusterRole.
fn line(name: &str, uid: Option<&str>) -> String {
    let resource = json!({"group": "rbac.authorization.k8s.io", "version": "v1", "api_version": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole", "plural": "clusterroles"});
    let mut entry = json!({"resource": resource, "name": name});
    if let Some(uid) = uid {
        entry["uid"] = uid.into();
    }
    entry.to_string()
}

/// Creates the journal of a run and returns its path.
fn journal(fake: &Fake, run: &str, data: Value) -> String {
    let path = format!("/api/v1/namespaces/{}/configmaps/{JOURNAL}", control(run));
    fake.put(
        &path,
        json!({"kind": "ConfigMap", "metadata": {}, "data": data}),
    );
    path
}

#[tokio::test]
async fn a_journal_stays_while_something_in_it_does() {
    let fake = Fake::default();
    run(&fake, "dead1", "elsewhere/1/1.1", STALE);
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/ours";
    let uid = fake.put(
        role,
        json!({"kind": "ClusterRole", "metadata": {"labels": {RUN_LABEL: "dead1"}}}),
    );
    let journal = journal(&fake, "dead1", json!({"0": line("ours", Some(&uid))}));
    fake.with(|inner| inner.guarded.push(role.to_owned()));
    let sweep = async || {
        let swept = runs::sweep(&fake.client(), SweepScope::Dead, Duration::ZERO, false).await;
        swept.unwrap().stays
    };
    let stays = sweep().await;
    assert!(
        stays.len() == 1 && stays[0].starts_with("ClusterRole ours was not removed: "),
        "{stays:?}"
    );
    assert!(fake.get(&journal).is_some() && fake.get(role).is_some());
    assert!(fake.get("/api/v1/namespaces/mp-dead1-1-a").is_none());
    // Once deleting is allowed, a sweep finds it by its journal line.
    fake.with(|inner| inner.guarded.clear());
    assert_eq!(sweep().await, Vec::<String>::new());
    assert!(fake.get(&journal).is_none() && fake.get(role).is_none());
}

const FRESH: &str = "2026-11-30T11:59:30.000000Z";
const STALE: &str = "2026-11-30T11:50:00.000000Z";

/// Path of the ClusterRoles, with a slash at the end.
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/";

/// Creates an active run, two dead ones of which the first has a journal, and look-alikes. Returns
/// the API server and the path of the journal.
fn dead_and_living() -> (Fake, String) {
    let fake = Fake::default();
    run(&fake, "dead1", "elsewhere/1/1.1", STALE);
    run(&fake, "live1", "elsewhere/1/1.1", FRESH);
    let ended = Holder::own()
        .identity()
        .replace(&format!("/{}.", std::process::id()), "/999999999.");
    run(&fake, "dead2", &ended, FRESH);
    look_alikes(&fake);
    let journal = roles_and_journal(&fake);
    (fake, journal)
}

fn look_alikes(fake: &Fake) {
    // Look-alikes: no label; a label alone; label and annotations under another name; a stale
    // Lease in a foreign namespace.
    let space = |name: &str, metadata: Value| {
        fake.put(
            &format!("/api/v1/namespaces/{name}"),
            json!({"kind": "Namespace", "metadata": metadata}),
        );
    };
    space("mp-dead1-9-x", json!({}));
    space("mp-old01-1-x", json!({"labels": {RUN_LABEL: "old01"}}));
    space(
        "prod",
        json!({"labels": {RUN_LABEL: "dead1"}, "annotations": {SCENARIO: "a", CONTROL: control("dead1")}}),
    );
    space(
        "mp-old02-0-control",
        json!({"labels": {RUN_LABEL: "old02"}}),
    );
}

/// Creates ClusterRoles and the journal of `dead1`, which has a line for each of them. A sweep may
/// remove only `ours` and `unsure`. Returns the path of the journal.
fn roles_and_journal(fake: &Fake) -> String {
    let role = |name: &str, metadata: Value| {
        fake.put(
            &format!("{ROLES}{name}"),
            json!({"kind": "ClusterRole", "metadata": metadata}),
        )
    };
    let gone = role("ours", json!({"labels": {RUN_LABEL: "dead1"}}));
    role("unsure", json!({"labels": {RUN_LABEL: "dead1"}}));
    role("replaced", json!({"labels": {RUN_LABEL: "dead1"}}));
    role("theirs", json!({}));
    let data = json!({"0": line("ours", Some(&gone)), "1": line("unsure", None), "2": line("replaced", Some("uid-of-before")), "3": line("theirs", None)});
    journal(fake, "dead1", data)
}

async fn sweep(fake: &Fake, which: SweepScope<'_>) -> Swept {
    runs::sweep(&fake.client(), which, Duration::ZERO, false)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_dry_run_of_a_sweep_removes_nothing() {
    let (fake, _) = dead_and_living();
    let before = fake.paths();
    let planned = runs::sweep(&fake.client(), SweepScope::Dead, Duration::ZERO, true)
        .await
        .unwrap();
    assert!(
        planned
            .removed
            .contains(&"namespace mp-dead1-1-a".to_owned()),
        "{planned:?}"
    );
    assert_eq!(fake.paths(), before, "a dry run must not remove anything");
}

#[tokio::test]
async fn only_what_dead_runs_left_is_swept() {
    let (fake, journal) = dead_and_living();
    let before = fake.paths();
    let swept = sweep(&fake, SweepScope::Dead).await;
    assert_eq!(swept.stays, Vec::<String>::new());
    let left = fake.paths();
    let removed: Vec<&String> = before.iter().filter(|path| !left.contains(*path)).collect();
    let expected = [
        "/api/v1/namespaces/mp-dead1-0-control",
        &journal,
        "/api/v1/namespaces/mp-dead1-1-a",
        "/api/v1/namespaces/mp-dead2-0-control",
        "/api/v1/namespaces/mp-dead2-1-a",
        &format!("{ROLES}ours"),
        &format!("{ROLES}unsure"),
    ];
    assert_eq!(removed, expected);
}

#[tokio::test]
async fn swept_runs_have_ended() {
    let (fake, _) = dead_and_living();
    sweep(&fake, SweepScope::Dead).await;
    let states: Vec<(String, RunState)> = runs::find(&fake.client())
        .await
        .unwrap()
        .into_iter()
        .map(|run| (run.id, run.state))
        .collect();
    let of = |id: &str, state| (id.to_owned(), state);
    assert_eq!(
        states,
        [
            of("dead1", RunState::Ended),
            of("dead2", RunState::Ended),
            of("live1", RunState::Living)
        ]
    );
}

#[tokio::test]
async fn a_sweep_of_all_removes_what_is_kept_and_a_sweep_of_one_a_living_run() {
    let (fake, _) = dead_and_living();
    sweep(&fake, SweepScope::Dead).await;
    sweep(&fake, SweepScope::All).await;
    let left = fake.paths();
    assert!(
        !left.iter().any(|path| path.ends_with("mp-dead1-2-b")),
        "{left:?}"
    );
    assert!(
        left.iter().any(|path| path.ends_with("mp-live1-2-b")),
        "{left:?}"
    );
    sweep(&fake, SweepScope::One("live1")).await;
    assert!(
        !fake
            .paths()
            .iter()
            .any(|path| path.starts_with("/api/v1/namespaces/mp-live1")),
        "{:?}",
        fake.paths()
    );
}

#[tokio::test]
async fn a_namespace_that_does_not_end_is_told_with_its_finalizer() {
    let fake = Fake::default();
    run(&fake, "dead1", "elsewhere/1/1.1", STALE);
    fake.with(|inner| inner.held.push("mp-dead1-1-a".into()));
    let limit = Duration::from_millis(600);
    let swept = runs::sweep(&fake.client(), SweepScope::Dead, limit, false)
        .await
        .unwrap();
    assert_eq!(
        swept.stays,
        ["namespace mp-dead1-1-a was not removed: finalizers remaining: example.test/hold"]
    );
    let left = namespaces::remove_all(&fake.client(), &namespaces::of_run("dead1"), limit).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].why.contains("example.test/hold"));
}

#[tokio::test]
async fn what_a_stopped_run_has_goes_but_for_what_is_kept() {
    let fake = Fake::default();
    run(&fake, "x1", "elsewhere/1/1.1", FRESH);
    run(&fake, "x2", "elsewhere/1/1.1", FRESH);
    let limit = Duration::from_secs(5);
    let left = namespaces::remove_all(&fake.client(), &namespaces::of_run("x1"), limit).await;
    assert_eq!(left, []);
    let spaces = fake.paths();
    let spaces: Vec<&String> = spaces
        .iter()
        .filter(|path| path.matches('/').count() == 4)
        .collect();
    assert_eq!(
        spaces,
        [
            "/api/v1/namespaces/mp-x1-2-b",
            "/api/v1/namespaces/mp-x2-0-control",
            "/api/v1/namespaces/mp-x2-1-a",
            "/api/v1/namespaces/mp-x2-2-b",
        ]
    );
    assert!(NOW.ends_with("GMT"));
}

#[tokio::test]
async fn controllers_are_deleted_before_their_pods() {
    let fake = Fake::default();
    let root = writer(&fake).await.claim("mp-x1-4-b", "b").await.unwrap();
    namespaces::end(&fake.client(), &root).await.unwrap();
    let deletes: Vec<String> = fake.writes();
    let at = |path: &str| {
        let path = format!("DELETE {path}");
        deletes.iter().position(|one| *one == path).unwrap()
    };
    let deployments = at("/apis/apps/v1/namespaces/mp-x1-4-b/deployments");
    assert!(deployments < at("/api/v1/namespaces/mp-x1-4-b/pods"));
    assert!(deployments < at("/api/v1/namespaces/mp-x1-4-b"));
    assert_eq!(fake.get("/api/v1/namespaces/mp-x1-4-b"), None);
}
