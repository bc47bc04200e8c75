//! Finds the runs on a cluster by their objects, tells active from dead ones, and removes what
//! dead runs left.
//!
//! A namespace belongs to a run if it has the run's label, is named after the run, and has the
//! annotations with its scenario and with the namespace of the run's Lease. Without any one of
//! these it is treated as foreign, whatever its name.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::{
    coordination::v1::{Lease, LeaseSpec},
    core::v1::Namespace,
};
use kube::{Api, Client, ResourceExt as _};

use super::{
    journal::{Entry, Journal},
    lease::{self, Clock, LEASE},
    namespaces::{self, KEPT_LABEL, Left, SCENARIO},
    object::RUN_LABEL,
    request::RequestError,
};
use crate::errors::{Classified, ErrorClass, chain};

/// Annotation of every namespace of a run: the control namespace, which holds the run's Lease and
/// journal.
pub const CONTROL: &str = "meshproof.dev/control";

/// Value of the scenario annotation for the control namespace, which has no scenario.
pub const CONTROL_SCENARIO: &str = "control";

/// Name of a run's control namespace.
pub fn control(run: &str) -> String {
    format!("mp-{run}-0-{CONTROL_SCENARIO}")
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It holds its Lease, or has just started.
    Living,
    /// Its process ended or its Lease is stale, and objects of it are left.
    Dead,
    /// It has ended. Its namespaces are kept for inspection, or are being deleted.
    Ended,
}

impl RunState {
    /// The name in text and JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Living => "living",
            Self::Dead => "dead",
            Self::Ended => "ended",
        }
    }
}

/// A run, as found on the cluster.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: String,
    pub state: RunState,
    /// Time since its oldest namespace was created.
    pub age: Duration,
    /// Its namespaces, including the control namespace.
    pub namespaces: Vec<Namespace>,
}

impl Run {
    /// Names of its namespaces, each with its state.
    pub fn describe(&self) -> Vec<String> {
        let word =
            |namespace: &Namespace| match (namespaces::is_ending(namespace), is_kept(namespace)) {
                (true, _) => format!("{} (being deleted)", namespace.name_any()),
                (false, true) => format!("{} (kept)", namespace.name_any()),
                (false, false) => namespace.name_any(),
            };
        self.namespaces.iter().map(word).collect()
    }
}

/// An error listing runs.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    #[error("cannot list namespaces")]
    Namespaces(#[source] RequestError),
    #[error("cannot read the API server's time")]
    Time(#[source] Box<kube::Error>),
    #[error("cannot read the Lease of run {run}")]
    Lease {
        run: String,
        source: Box<kube::Error>,
    },
}

impl Classified for RunsError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Namespaces(error) => error.class(),
            Self::Time(error) => error.class(),
            Self::Lease { source, .. } => source.class(),
        }
    }
}

/// Which runs to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepScope<'a> {
    /// Dead runs, except for kept namespaces.
    Dead,
    /// Dead and ended runs, including kept namespaces. Active runs stay.
    All,
    /// This run, whatever its state.
    One(&'a str),
}

/// The result of a sweep, or its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Descriptions of the objects outside the namespaces, and of the namespaces.
    pub removed: Vec<String>,
    /// Descriptions with the reason.
    pub stays: Vec<String>,
}

/// Whether the namespace stays after its run, for inspection.
pub fn is_kept(namespace: &Namespace) -> bool {
    namespace.labels().contains_key(KEPT_LABEL)
}

/// The run that created a namespace. `None` for foreign namespaces.
fn owner(namespace: &Namespace) -> Option<&str> {
    let run = namespace.labels().get(RUN_LABEL)?;
    let named = namespace.name_any().starts_with(&format!("mp-{run}-"));
    let annotations = namespace.annotations();
    let answer = annotations.contains_key(SCENARIO)
        && annotations
            .get(CONTROL)
            .is_some_and(|name| *name == control(run));
    (named && answer && !run.is_empty()).then_some(run.as_str())
}

/// The runs with objects on the cluster, oldest first.
///
/// # Errors
/// [`RunsError`]: the API server rejects a request or does not answer.
pub async fn find(client: &Client) -> Result<Vec<Run>, RunsError> {
    let all = namespaces::list(client, RUN_LABEL).await;
    let all = all.map_err(RunsError::Namespaces)?;
    let clock = Clock::of(client).await;
    let now = clock
        .map_err(|error| RunsError::Time(Box::new(error)))?
        .now();
    let mut by_run: BTreeMap<String, Vec<Namespace>> = BTreeMap::new();
    for namespace in all {
        if let Some(run) = owner(&namespace).map(str::to_owned) {
            by_run.entry(run).or_default().push(namespace);
        }
    }
    let runs = join_all(by_run.into_iter().map(|(id, namespaces)| async move {
        let api: Api<Lease> = Api::namespaced(client.clone(), &control(&id));
        let lease = api.get_opt(LEASE).await;
        let lease = lease.map_err(|source| RunsError::Lease {
            run: id.clone(),
            source: Box::new(source),
        })?;
        let ours = lease.filter(|lease| lease.labels().get(RUN_LABEL) == Some(&id));
        let spec = ours.map(|lease| lease.spec.unwrap_or_default());
        let age = age(&namespaces, now);
        Ok(Run {
            state: judge(&namespaces, spec.as_ref(), age, now),
            id,
            age,
            namespaces,
        })
    }));
    let runs = runs.await.into_iter();
    let mut runs = runs.collect::<Result<Vec<_>, RunsError>>()?;
    runs.sort_by_key(|run| std::cmp::Reverse(run.age));
    Ok(runs)
}

fn age(all: &[Namespace], now: Timestamp) -> Duration {
    let made = all.iter().filter_map(|one| one.creation_timestamp());
    let since = made.map(|at| now.duration_since(at.0)).max();
    since
        .and_then(|since| Duration::try_from(since).ok())
        .unwrap_or_default()
}

fn judge(all: &[Namespace], lease: Option<&LeaseSpec>, age: Duration, now: Timestamp) -> RunState {
    let at_rest = |one: &Namespace| is_kept(one) || namespaces::is_ending(one);
    match lease {
        _ if all.iter().all(at_rest) => RunState::Ended,
        Some(spec) if lease::is_dead(spec, now) => RunState::Dead,
        Some(_) => RunState::Living,
        // Its first namespace is created before its Lease.
        None if age <= lease::DURATION => RunState::Living,
        None => RunState::Dead,
    }
}

/// Removes what runs left: first the objects outside their namespaces, by uid, then the
/// namespaces. The control namespace with the journal is removed only when no object in the
/// journal is left. Waits up to `limit` for namespaces to be gone. With `dry`, only reports what
/// it would do.
///
/// # Errors
/// [`RunsError`]: the API server rejects a request or does not answer.
pub async fn sweep(
    client: &Client,
    which: SweepScope<'_>,
    limit: Duration,
    dry: bool,
) -> Result<Swept, RunsError> {
    let mut swept = Swept::default();
    for run in find(client).await? {
        let concerned = match which {
            SweepScope::Dead => run.state == RunState::Dead,
            SweepScope::All => run.state != RunState::Living,
            SweepScope::One(id) => run.id == id,
        };
        if concerned {
            one(client, &run, which, limit, dry, &mut swept).await;
        }
    }
    Ok(swept)
}

async fn one(
    client: &Client,
    run: &Run,
    which: SweepScope<'_>,
    limit: Duration,
    dry: bool,
    swept: &mut Swept,
) {
    let journal = Journal::of(client, &control(&run.id));
    let left = match journal.entries().await {
        Ok(entries) if dry => {
            swept.removed.extend(entries.iter().map(Entry::describe));
            Vec::new()
        }
        Ok(entries) => remove(client, &run.id, entries, swept).await,
        Err(error) => vec![chain(&error)],
    };
    let keeps_journal = !left.is_empty();
    swept.stays.extend(left);
    let expected = |namespace: &&Namespace| {
        let kept = is_kept(namespace) && which == SweepScope::Dead;
        let needed = keeps_journal && namespace.name_any() == control(&run.id);
        !kept && !needed
    };
    let going: Vec<Namespace> = run.namespaces.iter().filter(expected).cloned().collect();
    let names = going
        .iter()
        .map(|namespace| format!("namespace {}", namespace.name_any()));
    if dry {
        swept.removed.extend(names);
        return;
    }
    let stays = namespaces::remove_these(client, &going, limit).await;
    let stay = |name: &String| {
        stays
            .iter()
            .any(|left| *name == format!("namespace {}", left.name))
    };
    swept.removed.extend(names.filter(|name| !stay(name)));
    swept.stays.extend(stays.iter().map(Left::to_string));
}

/// Removes the objects in a journal. Returns those that could not be removed.
pub async fn remove(
    client: &Client,
    run: &str,
    entries: Vec<Entry>,
    swept: &mut Swept,
) -> Vec<String> {
    let mut left = Vec::new();
    for entry in entries {
        match entry.remove(client, run).await {
            Ok(()) => swept.removed.push(entry.describe()),
            Err(error) => left.push(format!(
                "{} was not removed: {}",
                entry.describe(),
                chain(&error)
            )),
        }
    }
    left
}

/// An age for display: `45s`, `3m`, `2h`, `5d`.
pub fn age_words(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn namespace(name: &str, label: Option<&str>, annotated: bool, kept: bool) -> Namespace {
        let mut object = json!({"metadata": {"name": name, "labels": {}, "annotations": {}}});
        if let Some(run) = label {
            object["metadata"]["labels"][RUN_LABEL] = run.into();
            if annotated {
                object["metadata"]["annotations"] = json!({SCENARIO: "a/b", CONTROL: control(run)});
            }
        }
        if kept {
            object["metadata"]["labels"][KEPT_LABEL] = "true".into();
        }
        serde_json::from_value(object).unwrap()
    }

    #[rstest]
    #[case::ours("mp-x1-3-a-b", Some("x1"), true, Some("x1"))]
    #[case::ours_and_further("mp-x1-3-a-b-third", Some("x1"), true, Some("x1"))]
    #[case::no_label("mp-x1-3-a-b", None, true, None)]
    #[case::no_annotation("mp-x1-3-a-b", Some("x1"), false, None)]
    #[case::another_name("prod", Some("x1"), true, None)]
    #[case::of_another_run("mp-x2-3-a-b", Some("x1"), true, None)]
    #[case::empty_label("mp--3-a-b", Some(""), true, None)]
    fn look_alikes_are_somebody_elses(
        #[case] name: &str,
        #[case] label: Option<&str>,
        #[case] annotated: bool,
        #[case] run: Option<&str>,
    ) {
        assert_eq!(owner(&namespace(name, label, annotated, false)), run);
    }

    #[test]
    fn an_annotation_that_names_another_control_namespace_is_not_ours() {
        let mut object = namespace("mp-x1-3-a-b", Some("x1"), true, false);
        let annotations = object.metadata.annotations.as_mut().unwrap();
        annotations.insert(CONTROL.into(), "mp-x2-0-control".into());
        assert_eq!(owner(&object), None);
    }

    #[rstest]
    #[case::renewed(Some(10), 500, false, RunState::Living)]
    #[case::stale(Some(100), 500, false, RunState::Dead)]
    #[case::begins(None, 3, false, RunState::Living)]
    #[case::lost_its_lease(None, 500, false, RunState::Dead)]
    #[case::only_kept(None, 500, true, RunState::Ended)]
    #[case::kept_by_a_stale_run(Some(100), 500, true, RunState::Ended)]
    fn a_lease_says_who_lives(
        #[case] renewed: Option<i64>,
        #[case] age: u64,
        #[case] kept: bool,
        #[case] state: RunState,
    ) {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let spec = renewed.map(|ago| LeaseSpec {
            holder_identity: Some("elsewhere/1/1.1".into()),
            lease_duration_seconds: Some(60),
            renew_time: Some(MicroTime(Timestamp::from_second(1_000_000 - ago).unwrap())),
            ..LeaseSpec::default()
        });
        let all = [namespace("mp-x1-3-a", Some("x1"), true, kept)];
        let found = judge(&all, spec.as_ref(), Duration::from_secs(age), now);
        assert_eq!(found, state);
    }

    #[test]
    fn ages_are_short() {
        let of = |seconds| age_words(Duration::from_secs(seconds));
        assert_eq!(
            [of(5), of(180), of(8000), of(400_000)],
            ["5s", "3m", "2h", "4d"]
        );
    }
}
