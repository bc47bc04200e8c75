//! `meshproof mutate`: on a mesh that is broken in a given way, exactly the checks concerned must
//! fail.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, future::join_all, stream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{CommandError, lint, mesh_capabilities::MeshCapabilities, provision, selection};
use crate::{
    cli::MutateArgs,
    coverage::{self, Claims},
    event::{Event, EventKind, phases::Phases, recorder::Recorder, run_id::RunId},
    exit::Exit,
    mesh::istio::discovery,
    mutation::{self, Mutation},
    output,
    plan::PlanOptions,
    run::{
        context::{self, CleanupPolicy, IsolationMode},
        engine::{self, EngineOptions},
        session::{Ending, Kept, Session},
        signals::{self, Parting},
        warm_pool::WarmPool,
    },
    scenario::{loaded::LoadedScenario, workload_file::WorkloadFileError},
    seed::Seed,
    targets::local::{bring_up::Local, world::launch::World},
    timeouts,
    verdict::{Rates, outcome::Verdict},
};

type Verdicts = BTreeMap<String, (Verdict, String)>;

/// Runs the suites once on the unbroken mesh and once for each mutation, and prints the matrix.
///
/// # Errors
/// Wrong usage, or a target that does not come up.
pub fn run(args: &MutateArgs) -> Result<Exit, CommandError> {
    if args.list {
        return list();
    }
    let set = selection::load(&args.paths)?;
    if let Some(dir) = &args.coverage {
        return covered(&set.scenarios, dir);
    }
    let mut mutations = mutation::all().map_err(|error| CommandError::usage(&error))?;
    if let Some(name) = &args.mutation {
        mutations = vec![mutation::find(name).map_err(|error| CommandError::usage(&error))?];
    }
    let findings = lint::findings(&set, &[]);
    if selection::has_errors(&findings) {
        selection::print_findings(&findings, None);
        return Err(CommandError::Usage(
            "the suite files have lint errors: nothing was started".to_owned(),
        ));
    }
    let plan = concerned(&set.scenarios, mutations, args.all);
    let plan = plan.map_err(|error| CommandError::usage(&error))?;
    timeouts::set_scale(args.timeout_scale.unwrap_or(1.0));
    let jobs = args.jobs.unwrap_or(8);
    let runtime = Runtime::new().map_err(CommandError::other)?;
    let isolation = args.isolation.unwrap_or_default();
    let name = args.name.as_deref();
    runtime.block_on(matrix(&set.scenarios, plan, jobs, isolation, name))
}

/// Prints a line for each mutation, with the scenarios that must detect it.
fn list() -> Result<Exit, CommandError> {
    let all = mutation::all().map_err(|error| CommandError::usage(&error))?;
    let width = all.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let lines = all.iter().map(|one| {
        let (name, what, red) = (&one.name, &one.what, one.turns_red.join(", "));
        format!("{name:width$}  {what} [{red}]\n")
    });
    output::data(&lines.collect::<String>()).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

/// Prints the table of fields to stdout.
fn covered(scenarios: &[LoadedScenario], dir: &Path) -> Result<Exit, CommandError> {
    let mutations = mutation::all().map_err(|error| CommandError::usage(&error))?;
    let claims = Claims::gather(scenarios, &mutations, coverage::CLAIMS);
    let claims = claims.map_err(|error| CommandError::usage(&error))?;
    let written = coverage::written(dir).map_err(|error| CommandError::usage(&error))?;
    output::data(&coverage::markdown(&written, &claims)).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

/// Each mutation with the scenarios to run under it, those with the most scenarios first.
fn concerned(
    scenarios: &[LoadedScenario],
    mutations: Vec<Mutation>,
    all: bool,
) -> Result<Vec<(Mutation, Vec<LoadedScenario>)>, WorkloadFileError> {
    let mut plan = Vec::new();
    for mutation in mutations {
        let mut mine = Vec::new();
        for scenario in scenarios {
            if all || mutation.concerns(scenario)? {
                mine.push(scenario.clone());
            }
        }
        if !mine.iter().any(|one| mutation.turns_red.contains(&one.id)) {
            continue; // no scenario that must detect it is selected
        }
        plan.push((mutation, mine));
    }
    plan.sort_by_key(|(_, mine)| std::cmp::Reverse(mine.len()));
    Ok(plan)
}

async fn matrix(
    scenarios: &[LoadedScenario],
    plan: Vec<(Mutation, Vec<LoadedScenario>)>,
    jobs: usize,
    isolation: IsolationMode,
    name: Option<&str>,
) -> Result<Exit, CommandError> {
    let up = name.map_or(Ok(()), |name| World::find(name).map(drop));
    up.map_err(|error| CommandError::usage(&error))?;
    let (recorder, events) = Recorder::new();
    drop(events);
    let cancel = CancellationToken::new();
    let parting = Parting::default();
    signals::watch(cancel.clone(), recorder.clone(), parting.clone())
        .map_err(CommandError::other)?;
    let opening = open(name, recorder);
    let Some(local) = cancel.run_until_cancelled(opening).await else {
        return Ok(parting.exit().unwrap_or(Exit::INTERRUPTED));
    };
    let local = local?;
    let mesh = Mesh {
        mesh_capabilities: MeshCapabilities::by(&local.access(), scenarios).await?,
        // Only a mesh that stays up needs its namespaces deleted.
        cleanup: if name.is_some() {
            CleanupPolicy::Deleted
        } else {
            CleanupPolicy::Emptied
        },
        jobs,
        isolation,
        local: &local,
        warm: Mutex::default(),
        cancel,
    };
    let done = mesh.rows(scenarios, plan).await;
    if name.is_some() {
        mesh.clear().await;
    } else {
        local.world.shut_down().await.map_err(CommandError::of)?;
    }
    match parting.exit() {
        Some(stopped) => Ok(stopped),
        None => done,
    }
}

/// Opens the kept mesh of this name, or else brings up a new one.
async fn open(name: Option<&str>, recorder: Recorder) -> Result<Local, CommandError> {
    match name {
        Some(name) => Local::attach(name).await.map_err(CommandError::of),
        None => {
            let parts = provision::LocalOptions {
                name: None,
                envoy: None,
                images: &[],
                fresh: false,
            };
            provision::local(&parts, &Phases::new(recorder)).await
        }
    }
}

/// Prints which scenarios fail on the mesh as it is. True if none does.
fn print_healthy(verdicts: &Verdicts) -> Result<bool, CommandError> {
    let sick: Vec<String> = verdicts
        .iter()
        .filter(|(_, (verdict, _))| !matches!(verdict, Verdict::Pass | Verdict::Skip))
        .map(|(id, (verdict, cause))| format!("\n           {id}: {verdict:?} {cause}"))
        .collect();
    let line = format!(
        "healthy: {} scenarios, {} not PASS{}",
        verdicts.len(),
        sick.len(),
        sick.concat()
    );
    output::line(&line).map_err(CommandError::Stdout)?;
    Ok(sick.is_empty())
}

/// The mesh to break, and how scenarios run on it.
struct Mesh<'a> {
    local: &'a Local,
    mesh_capabilities: MeshCapabilities,
    cleanup: CleanupPolicy,
    jobs: usize,
    isolation: IsolationMode,
    /// What ended sessions have left for the next ones.
    warm: Mutex<Vec<WarmPool>>,
    /// Cancelled when the user asks to stop.
    cancel: CancellationToken,
}

impl Mesh<'_> {
    async fn rows(
        &self,
        scenarios: &[LoadedScenario],
        plan: Vec<(Mutation, Vec<LoadedScenario>)>,
    ) -> Result<Exit, CommandError> {
        let tried = |scenario: &&LoadedScenario| {
            let mut all = plan.iter().flat_map(|(_, mine)| mine);
            all.any(|mine| mine.id == scenario.id)
        };
        let tried: Vec<LoadedScenario> = scenarios.iter().filter(tried).cloned().collect();
        let healthy = self.verdicts(&tried, None).await?;
        if self.cancel.is_cancelled() {
            return Ok(Exit::INTERRUPTED);
        }
        let healthy = print_healthy(&healthy)?;
        let total = plan.len();
        // Mutations with few scenarios run side by side: most change the configuration of one
        // scenario. Mutations of the control plane or of the shared gateway run alone.
        let by_itself = |(mutation, mine): &(Mutation, Vec<LoadedScenario>)| {
            mine.len() > self.jobs
                || mine.iter().any(|loaded| loaded.scenario.serial)
                || mutation::shared_gateway(mutation).is_some()
        };
        let (wide, narrow): (Vec<_>, Vec<_>) = plan.into_iter().partition(by_itself);
        let (mut exact, mut untried, mut runs) = (0, 0, 0);
        for (group, at_once) in [(wide, 1), (narrow, self.jobs.div_ceil(2))] {
            let mut rows = stream::iter(group.iter().map(async |(mutation, mine)| {
                (mutation, self.verdicts(mine, Some(mutation)).await)
            }))
            .buffered(at_once);
            while let Some((mutation, seen)) = rows.next().await {
                let seen = seen?;
                if self.cancel.is_cancelled() {
                    return Ok(Exit::INTERRUPTED);
                }
                let row = MutationResult::of(mutation, &seen);
                exact += usize::from(row.is_exact());
                untried += usize::from(!row.is_tried());
                runs += seen.len();
                output::data(&row.text(mutation, &seen)).map_err(CommandError::Stdout)?;
            }
        }
        output::line(&format!(
        "{exact} of {} mutations made exactly the expected scenarios fail, {untried} could not be tried ({runs} scenario runs; without --all, scenarios \
         that read no file that a mutation changes are left out)",
        total - untried
    ))
    .map_err(CommandError::Stdout)?;
        Ok(if exact + untried == total && healthy {
            Exit::Ok
        } else {
            Exit::Failed
        })
    }

    fn warm(&self) -> MutexGuard<'_, Vec<WarmPool>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what the last sessions have left.
    async fn clear(&self) {
        let all = std::mem::take(&mut *self.warm());
        join_all(all.iter().map(|pool| pool.remove(&self.local.client))).await;
    }

    async fn verdicts(
        &self,
        scenarios: &[LoadedScenario],
        mutation: Option<&Mutation>,
    ) -> Result<Verdicts, CommandError> {
        let (recorder, mut events) = Recorder::new();
        let rates = Rates::default();
        let (local, jobs) = (self.local, self.jobs.min(scenarios.len().max(1)));
        let options = PlanOptions {
            rates,
            seed: Seed::new(0),
            jobs,
            alike: true,
        };
        let plan = self.mesh_capabilities.plan(scenarios.to_vec(), options);
        let options = context::SessionOptions {
            run_id: RunId::random(),
            jobs,
            rates,
            isolation: self.isolation,
            cleanup: self.cleanup,
            keep_failed: false,
            mutation: mutation.cloned(),
            leaves_pool: self.isolation == IsolationMode::Shared,
        };
        let kept = Kept {
            warm: self.warm().pop(),
            ..Kept::default()
        };
        // The previous mutation may have restarted istiod.
        let endpoints = discovery::find(&local.client, &local.dial).await;
        let endpoints = endpoints.map_err(CommandError::of)?;
        let session = Session::new(&local.access(), endpoints, recorder, kept, options);
        let mut session = session.map_err(CommandError::of)?;
        let options = EngineOptions {
            jobs,
            fail_fast: false,
        };
        let begun = self.cancel.run_until_cancelled(session.begin()).await;
        if let Some(Ok(())) = begun {
            let (ctx, known) = (&session.ctx, &BTreeMap::new());
            engine::run(ctx, &plan.entries, known, options, &self.cancel).await;
        }
        let stays = session
            .close(match self.cancel.is_cancelled() {
                true => Ending::Watched,
                false => Ending::Done,
            })
            .await;
        self.warm().extend(stays);
        if let Some(begun) = begun {
            begun.map_err(CommandError::of)?;
        }
        let mut all = Verdicts::new();
        while let Ok(Event { kind, .. }) = events.try_recv() {
            if let EventKind::ScenarioEnded(end) = kind {
                all.insert(end.id, (end.verdict, end.cause));
            }
        }
        Ok(all)
    }
}

/// The outcome of a mutation, compared with what it should be.
struct MutationResult {
    caught: Vec<String>,
    missed: Vec<String>,
    /// Scenarios that should not have detected it, or detected it with a verdict other than FAIL.
    strays: Vec<String>,
    /// Scenarios that should have detected it but were skipped: this mesh or this build lacks a
    /// capability that they need.
    skipped: Vec<String>,
}

impl MutationResult {
    fn of(mutation: &Mutation, seen: &Verdicts) -> Self {
        let was = |id: &String, expected: Verdict| {
            seen.get(id)
                .is_some_and(|(verdict, _)| *verdict == expected)
        };
        let expected = mutation
            .turns_red
            .iter()
            .filter(|id| seen.contains_key(*id));
        let (skipped, ran): (Vec<String>, Vec<String>) =
            expected.cloned().partition(|id| was(id, Verdict::Skip));
        let (caught, missed) = ran.into_iter().partition(|id| was(id, Verdict::Fail));
        let stray = |(id, (verdict, _)): &(&String, &(Verdict, String))| {
            !mutation.turns_red.contains(id) && !matches!(verdict, Verdict::Pass | Verdict::Skip)
        };
        let strays = seen
            .iter()
            .filter(stray)
            .map(|(id, (verdict, _))| format!("{id} ({verdict:?})"))
            .collect();
        Self {
            caught,
            missed,
            strays,
            skipped,
        }
    }

    /// Returns whether a scenario that should have detected it ran, or one that should not have
    /// detected it did.
    fn is_tried(&self) -> bool {
        let all = [&self.caught, &self.missed, &self.strays];
        self.skipped.is_empty() || all.iter().any(|some| !some.is_empty())
    }

    fn is_exact(&self) -> bool {
        !self.caught.is_empty() && self.missed.is_empty() && self.strays.is_empty()
    }

    fn text(&self, mutation: &Mutation, seen: &Verdicts) -> String {
        let word = match (self.is_exact(), self.is_tried()) {
            (true, _) => "exact",
            (false, false) => "not tried",
            (false, true) => "NOT EXACT",
        };
        let mut text = format!("{word:9}  {}  — {}\n", mutation.name, mutation.what);
        for id in &self.caught {
            let _ = writeln!(
                text,
                "           caught by {id}: {}",
                seen[id].1.lines().next().unwrap_or_default()
            );
        }
        for id in &self.missed {
            let (verdict, cause) = &seen[id];
            let _ = writeln!(text, "           MISSED by {id}: {verdict:?} {cause}");
        }
        for id in &self.skipped {
            let _ = writeln!(text, "           skipped {id}: {}", seen[id].1);
        }
        for stray in &self.strays {
            let _ = writeln!(text, "           STRAY {stray}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::testing::{hopeless, scenarios};

    fn mutation(text: &str) -> Mutation {
        serde_yaml::from_str(text).expect("it parses")
    }

    #[test]
    fn a_row_tells_caught_missed_and_stray_apart() {
        let mutation = mutation("{name: m, what: w, turns-red: [a, b]}");
        let verdict = |verdict| (verdict, String::new());
        let seen = Verdicts::from([
            ("a".into(), verdict(Verdict::Fail)),
            ("b".into(), verdict(Verdict::Pass)),
            ("c".into(), verdict(Verdict::Error)),
            ("d".into(), verdict(Verdict::Pass)),
        ]);
        let row = MutationResult::of(&mutation, &seen);
        assert!(row.is_tried() && !row.is_exact());
        assert_eq!(
            (row.caught, row.missed, row.strays),
            (vec!["a".into()], vec!["b".into()], vec!["c (Error)".into()])
        );
    }

    #[test]
    fn a_mutation_that_breaks_what_was_not_selected_is_left_out() {
        let text = "{name: m, what: w, turns-red: [area/b], beside: [area/a], patches: [{applyTo: CLUSTER, \
            match: {context: SIDECAR_OUTBOUND}, patch: {operation: MERGE, value: {lb_policy: RANDOM}}}]}";
        let mutation = mutation(text);
        let root = tempfile::tempdir().expect("a directory");
        let files = ["a", "b"].map(|name| (name, hopeless("")));
        let both = scenarios(root.path(), &files);
        let tried = |of: &[LoadedScenario]| {
            let plan = concerned(of, vec![mutation.clone()], true).expect("read");
            let each = plan.iter().map(|(_, mine)| mine.len());
            each.collect::<Vec<usize>>()
        };
        assert_eq!(tried(&both), [2]);
        assert!(tried(&both[..1]).is_empty());
    }

    #[test]
    fn a_mutation_whose_scenarios_are_all_skipped_is_not_tried() {
        let mutation = mutation("{name: m, what: w, turns-red: [a, b]}");
        let skipped = (Verdict::Skip, "missing capabilities: browser".to_owned());
        let mut seen = Verdicts::from([("a".into(), skipped.clone()), ("b".into(), skipped)]);
        let row = MutationResult::of(&mutation, &seen);
        assert!(!row.is_tried() && !row.is_exact());
        assert!(row.text(&mutation, &seen).starts_with("not tried"));
        seen.insert("b".into(), (Verdict::Fail, String::new()));
        let row = MutationResult::of(&mutation, &seen);
        assert!(row.is_tried() && row.is_exact());
    }
}
