//! `meshproof run`: settings in, verdicts and a report out.

use std::{collections::BTreeMap, path::PathBuf};

use kube::Client;
use tokio::{runtime::Runtime, sync::mpsc::UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use super::{
    CommandError, again, lint, mesh_capabilities::MeshCapabilities, provision, requested_target,
    selection, target_handle::TargetHandle,
};
use crate::{
    cluster::kubeconfig,
    event::{Event, EventKind, RunInfo, SCHEMA, phases::Phases, recorder::Recorder, run_id::RunId},
    evidence::{bundle::Bundle, redact::Redactor},
    exit::Exit,
    mutation::{self, Mutation},
    output::{self, Format},
    plan::{self, Plan, PlanOptions},
    report::{Finished, Sink, SinkError, SinkOptions},
    run::{
        context::{self, CleanupPolicy, IsolationMode},
        engine::{self, EngineOptions},
        session::{Ending, Kept, Session},
        signals::{self, Parting},
        target_lost::TargetLost,
        warm_pool::{WarmPool, WarmPoolFile},
    },
    scenario::{
        known::{self, Known, MeshVersions, load_known_of},
        loaded::LoadedScenario,
        select::Filter,
    },
    settings::Settings,
    targets::{TargetAccess, TargetKind, keep::Keep},
    timeouts::{self, timeouts},
};

/// Runs the selected scenarios.
///
/// # Errors
/// Wrong usage, suite files with lint errors, or a report directory that cannot be created. Later
/// failures become verdicts.
pub fn run(settings: &Settings) -> Result<Exit, CommandError> {
    timeouts::set_scale(settings.execution.timeout_scale);
    let scenarios = select(settings)?;
    if scenarios.is_empty() {
        output::say("no scenario selected: `meshproof list` shows all scenarios");
        return Ok(Exit::NothingSelected);
    }
    check(settings, &scenarios)?;
    let options = PlanOptions {
        rates: settings.rates,
        seed: settings.seed,
        jobs: settings.execution.jobs,
        alike: settings.execution.isolation == context::IsolationMode::Shared,
    };
    if settings.selection.dry_run {
        return dry_run(&plan::plan(scenarios, options, None), settings);
    }
    Runtime::new()
        .map_err(CommandError::other)?
        .block_on(go(scenarios, options, settings))
}

/// Checks that everything that was requested is supported, as far as that can be known before
/// anything starts.
fn check(settings: &Settings, scenarios: &[LoadedScenario]) -> Result<(), CommandError> {
    let asked = requested_target::RequestedTarget {
        target: settings.target.kind,
        name: settings.target.name.as_deref(),
        context: settings.target.context.as_deref(),
        mesh: &settings.target.mesh,
        given: &settings.given,
    };
    asked.check()?;
    mutation(settings)?;
    known_files(scenarios)?;
    // A plan needs no istioctl, but one that was requested must exist.
    let (target, mesh) = (&settings.target, &settings.target.mesh);
    let dry_run = settings.selection.dry_run;
    let asked_for = mesh.istio.is_some() || mesh.istioctl.is_some() || !dry_run;
    if target.kind == TargetKind::Kind && asked_for {
        let runtime = Runtime::new().map_err(CommandError::other)?;
        runtime.block_on(provision::check(target.name.as_deref(), mesh))?;
    }
    Ok(())
}

fn dry_run(plan: &Plan, settings: &Settings) -> Result<Exit, CommandError> {
    let printed = match settings.output.format {
        Format::Text => output::data(&plan.to_text().map_err(CommandError::other)?),
        Format::Json => {
            let json = plan.to_json().map_err(CommandError::other)?;
            output::json_text(&format!("{json}\n"))
        }
    };
    printed.map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

async fn go(
    scenarios: Vec<LoadedScenario>,
    options: PlanOptions,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let output = &settings.output;
    let report_dir = output.report_dir.clone().unwrap_or_else(default_report_dir);
    let redactor = Redactor::default();
    let sink = Sink::open(SinkOptions {
        redactor: redactor.clone(),
        report_dir: Some(report_dir),
        format: output.format,
        verbose: output.verbose,
        quiet: output.quiet,
        color: output.color,
    });
    let sink = sink.map_err(|error| match &error {
        SinkError::Folder(folder) if folder.is_usage() => CommandError::Usage(error.to_string()),
        _ => CommandError::other(error),
    })?;
    let bundle = sink.bundle().cloned();
    let (recorder, events) = Recorder::new();
    let telling = tokio::spawn(write_events(sink, events));
    let (cancel, parting) = (CancellationToken::new(), Parting::default());
    signals::watch(cancel.clone(), recorder.clone(), parting.clone())
        .map_err(CommandError::other)?;
    let run_id = RunId::random();
    let info = info(settings, options, run_id.clone(), &scenarios);
    recorder.emit(EventKind::RunStarted(Box::new(info)));
    let mut wrong_usage = false;
    if let Err(error) = work(
        run_id, scenarios, options, settings, &recorder, bundle, &redactor, &cancel, &parting,
    )
    .await
    {
        wrong_usage = error.exit() == Exit::Usage;
        recorder.emit(EventKind::PhaseEnded {
            phase: "bring-up".into(),
            ms: recorder.elapsed_ms(),
            error: Some(crate::errors::chain(&error)),
        });
    }
    recorder.emit(EventKind::RunEnded {
        wall_ms: recorder.elapsed_ms(),
    });
    let finished = telling.await.map_err(CommandError::other)?;
    match finished.tell() {
        Exit::Error if wrong_usage => Ok(Exit::Usage),
        exit => Ok(exit),
    }
}

/// Brings the target up, runs the scenarios, takes the target down. A cancelled run also takes
/// down what it brought up.
#[expect(
    clippy::too_many_arguments,
    reason = "all parts of a run are connected here"
)]
async fn work(
    run_id: RunId,
    scenarios: Vec<LoadedScenario>,
    options: PlanOptions,
    settings: &Settings,
    recorder: &Recorder,
    bundle: Option<Bundle>,
    redactor: &Redactor,
    cancel: &CancellationToken,
    parting: &Parting,
) -> Result<(), CommandError> {
    register_secrets(settings, redactor);
    let phases = Phases::new(recorder.clone());
    let opening = TargetHandle::open(settings, &run_id, &phases);
    let Some(target) = cancel.run_until_cancelled(opening).await else {
        return TargetHandle::abandon(settings, &run_id).await;
    };
    let mut target = target?;
    let ready = target.access();
    let mutation = mutation(settings)?;
    let runs = scenarios.len() * settings.execution.repeat;
    let cleanup = cleanup(&target, settings, runs > options.jobs);
    let file = warm_pool_file(&ready, settings, cleanup);
    let warm = match &file {
        Some(file) => file.take(&ready.client).await,
        None => None,
    };
    let run_id = warm.as_ref().map_or(run_id, |warm| warm.run.clone());
    parting.set(target.removal(settings, &run_id));
    for text in &ready.secrets {
        redactor.register(text);
    }
    let lost = TargetLost::default();
    let session_options = context::SessionOptions {
        run_id,
        jobs: options.jobs.min(runs),
        rates: options.rates,
        isolation: settings.execution.isolation,
        cleanup,
        keep_failed: settings.target.keep != Keep::Never,
        mutation,
        leaves_pool: file.is_some(),
    };
    let kept = Kept {
        bundle,
        redactor: redactor.clone(),
        lost: lost.clone(),
        warm,
    };
    let done = unless_lost(
        &mut target,
        &lost,
        scenarios_on(
            &ready,
            scenarios,
            options,
            session_options,
            settings,
            recorder,
            kept,
            file.as_ref(),
            cancel,
        ),
    )
    .await;
    let down = target.close(settings, &phases).await;
    if lost.why().is_none() {
        down?;
    }
    done
}

/// Runs to the end, or until the target has ended. Running scenarios report the lost target in
/// their verdicts. Those that have not ended some time later are abandoned.
async fn unless_lost(
    target: &mut TargetHandle,
    lost: &TargetLost,
    run: impl Future<Output = Result<(), CommandError>>,
) -> Result<(), CommandError> {
    let ended = async {
        let why = target.ended().await;
        lost.set(why.clone());
        tokio::time::sleep(timeouts().target.lost).await;
        why
    };
    tokio::select! {
        done = run => done.map_err(|error| match lost.why() {
            Some(why) => CommandError::target_ended(why),
            None => error,
        }),
        ended = ended => Err(CommandError::target_ended(ended)),
    }
}

/// Where the run finds what an earlier one has left, and leaves its own pool: in a mesh that stays
/// up and is meshproof's own.
fn warm_pool_file(
    ready: &TargetAccess,
    settings: &Settings,
    cleanup: CleanupPolicy,
) -> Option<WarmPoolFile> {
    let shares = settings.execution.isolation == IsolationMode::Shared;
    let state = ready.state.as_ref()?;
    (shares && cleanup == CleanupPolicy::Deleted).then(|| WarmPoolFile::within(state))
}

/// What must be known of the mesh before anything is written.
async fn prepare(
    ready: &TargetAccess,
    scenarios: &[LoadedScenario],
) -> Result<(MeshCapabilities, BTreeMap<String, Known>), CommandError> {
    let mesh = MeshCapabilities::by(ready, scenarios).await?;
    let known = known(scenarios, &ready.versions)?;
    Ok((mesh, known))
}

/// Leaves a pool to the next run, or removes it if another run has left one.
async fn leave(pool: &WarmPool, file: &WarmPoolFile, client: &Client) {
    let left = file.leave(pool).unwrap_or_else(|error| {
        tracing::warn!(%error, "nothing is left to the next run");
        false
    });
    if !left {
        pool.remove(client).await;
    }
}

/// When namespaces go. In a target that ends with the run only memory for further runs matters.
fn cleanup(target: &TargetHandle, settings: &Settings, more_follow: bool) -> CleanupPolicy {
    match target.is_ephemeral(settings) {
        false => CleanupPolicy::Deleted,
        true if more_follow => CleanupPolicy::Emptied,
        true => CleanupPolicy::WithTheWorld,
    }
}

/// Masks the credentials of the user's clusters. Before the first connection attempt, because its
/// errors can quote them.
fn register_secrets(settings: &Settings, redactor: &Redactor) {
    if settings.target.kind == TargetKind::Cluster
        && let Ok(read) = kubeconfig::read(&kubeconfig::files())
    {
        for text in kubeconfig::secrets(&read) {
            redactor.register(&text);
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "all parts of a run are connected here"
)]
async fn scenarios_on(
    ready: &TargetAccess,
    scenarios: Vec<LoadedScenario>,
    options: PlanOptions,
    session_options: context::SessionOptions,
    settings: &Settings,
    recorder: &Recorder,
    kept: Kept,
    file: Option<&WarmPoolFile>,
    cancel: &CancellationToken,
) -> Result<(), CommandError> {
    let prepared = prepare(ready, &scenarios).await;
    if prepared.is_err()
        && let (Some(pool), Some(file)) = (&kept.warm, file)
    {
        leave(pool, file, &ready.client).await; // as it was found
    }
    let (mesh, known) = prepared?;
    recorder.emit(EventKind::TargetReady {
        versions: ready.versions.clone(),
        capabilities: mesh.capabilities.iter().cloned().collect(),
        lacks: mesh.lacks.clone(),
    });
    let mut runs = scenarios;
    let (once, repeat) = (runs.len(), settings.execution.repeat);
    for _ in 1..repeat {
        runs.extend_from_within(..once);
    }
    let plan = mesh.plan(runs, options);
    let mut session = Session::new(
        ready,
        mesh.endpoints,
        recorder.clone(),
        kept,
        session_options,
    )
    .map_err(CommandError::of)?;
    let begun = cancel.run_until_cancelled(session.begin()).await;
    if let Some(Ok(())) = begun {
        let engine = EngineOptions {
            jobs: options.jobs,
            fail_fast: settings.execution.fail_fast,
        };
        engine::run(&session.ctx, &plan.entries, &known, engine, cancel).await;
    }
    let somebodys = settings.target.kind == TargetKind::Cluster;
    let stays = session
        .close(match somebodys || cancel.is_cancelled() {
            true => Ending::Watched,
            false => Ending::Done,
        })
        .await;
    if let (Some(pool), Some(file)) = (stays, file) {
        leave(&pool, file, &ready.client).await;
    }
    match begun {
        Some(begun) => begun.map_err(CommandError::of),
        None => Ok(()),
    }
}

async fn write_events(mut sink: Sink, mut events: UnboundedReceiver<Event>) -> Finished {
    while let Some(event) = events.recv().await {
        let last = matches!(event.kind, EventKind::RunEnded { .. });
        sink.event(&event);
        if last {
            break;
        }
    }
    tokio::task::block_in_place(|| sink.finish())
}

fn default_report_dir() -> PathBuf {
    PathBuf::from("meshproof-report")
}

fn info(
    settings: &Settings,
    options: PlanOptions,
    run_id: RunId,
    scenarios: &[LoadedScenario],
) -> RunInfo {
    let args = std::env::args_os().skip(1);
    RunInfo {
        schema: SCHEMA,
        run_id,
        meshproof: env!("CARGO_PKG_VERSION").to_owned(),
        started: now(),
        target: settings.target.kind.name().to_owned(),
        mesh: "istio".to_owned(),
        profile: settings.target.profile().to_owned(),
        seed: options.seed,
        jobs: options.jobs,
        alpha: options.rates.alpha,
        beta: options.rates.beta,
        args: args.map(|arg| arg.to_string_lossy().into_owned()).collect(),
        reproduce: again::whole(&settings.given, options.seed, scenarios),
        again: again::each(&settings.given, options.seed),
    }
}

/// RFC 3339 in UTC, whole seconds.
fn now() -> String {
    let now = jiff::Timestamp::now();
    let seconds = jiff::Timestamp::from_second(now.as_second());
    seconds.unwrap_or(now).to_string()
}

/// The scenarios that paths and filters select. Nothing starts while any of them has lint errors.
fn select(settings: &Settings) -> Result<Vec<LoadedScenario>, CommandError> {
    let selection = &settings.selection;
    let shard = selection.shard.map(|shard| (shard.index, shard.count));
    let filter = Filter::new(selection.labels.as_deref(), &selection.proves, shard)
        .map_err(selection::usage)?;
    let set = selection::load(&selection.paths)?;
    if set.scenarios.is_empty() && set.findings.is_empty() {
        return Err(selection::nothing(&set));
    }
    let findings = lint::findings(&set, &[]);
    if selection::has_errors(&findings) {
        selection::print_findings(&findings, None);
        let message = "the suite files have lint errors: nothing was started".to_owned();
        return Err(CommandError::Usage(message));
    }
    let scenarios = selection::filter(set.scenarios, &filter)?;
    let scenarios = selection::without_benches(scenarios, &filter);
    let runs = scenarios.len().saturating_mul(settings.execution.repeat);
    if runs > MOST_RUNS {
        return Err(CommandError::Usage(format!(
            "--repeat {} of {} would be {runs} runs; the maximum is {MOST_RUNS}",
            settings.execution.repeat,
            output::count(scenarios.len(), "scenario"),
        )));
    }
    Ok(scenarios)
}

/// Maximum number of scenario runs in one run: their events and reports are held in memory.
const MOST_RUNS: usize = 100_000;

fn mutation(settings: &Settings) -> Result<Option<Mutation>, CommandError> {
    let found = settings.mutate.as_deref().map(mutation::find).transpose();
    let found = found.map_err(|error| CommandError::usage(&error))?;
    let patched = found.as_ref().filter(|found| !found.patches.is_empty());
    if let Some(mutation) = patched.filter(|_| settings.target.kind == TargetKind::Cluster) {
        return Err(CommandError::Usage(format!(
            "mutation {} changes the configuration of proxies, including the shared gateway, and cannot run on an existing cluster; use --target local or --target kind",
            mutation.name
        )));
    }
    Ok(found)
}

/// The lists of expected failures of the suites that these scenarios belong to.
fn known_files(scenarios: &[LoadedScenario]) -> Result<Vec<known::KnownFile>, CommandError> {
    let (files, findings) = load_known_of(scenarios);
    if selection::has_errors(&findings) {
        selection::print_findings(&findings, None);
        let message = "the list of expected failures has lint errors".to_owned();
        return Err(CommandError::Usage(message));
    }
    Ok(files)
}

/// Expected failures of the selected scenarios on this mesh and proxy.
fn known(
    scenarios: &[LoadedScenario],
    versions: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Known>, CommandError> {
    let files = known_files(scenarios)?;
    let version = |name: &str| versions.get(name).map_or("", String::as_str);
    let running = MeshVersions {
        mesh: "istio",
        version: version("istio"),
        envoy: version("envoy"),
    };
    let each = scenarios
        .iter()
        .filter_map(|loaded| Some((loaded.id.clone(), known::find(&files, &loaded.id, running)?)));
    Ok(each.collect())
}
