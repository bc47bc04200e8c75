//! `meshproof run`: settings in, verdicts and a report out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{runtime::Runtime, sync::mpsc::UnboundedReceiver};
use tokio_util::sync::CancellationToken;

use super::{CommandError, bring, lint, offered::Offered, on::On, selected};
use crate::{
    cli::{Keep, TargetKind},
    exit::Exit,
    mutation::{self, Mutation},
    output,
    plan::{self, Plan, Terms},
    report::{Bundle, Finished, Redactor, Sink, SinkOptions},
    run::{
        engine::{self, Pace},
        event::{Event, Kind, RunInfo, SCHEMA},
        lost::Lost,
        phases::Phases,
        recorder::Recorder,
        session::{self, Ending, Session},
        signals::{self, Parting},
        tidy::Tidy,
    },
    scenario::{
        Loaded, Suites,
        known::{self, Running, load_known},
        select::Filter,
    },
    settings::Settings,
    target::Ready,
    verdict::{Rates, conclude::Known},
};

/// Runs the selected scenarios.
///
/// # Errors
/// Wrong usage, suite files that do not lint, a report directory that cannot be made. What goes wrong later is a verdict.
pub fn run(settings: &Settings) -> Result<Exit, CommandError> {
    let scenarios = select(settings)?;
    if scenarios.is_empty() {
        output::say("nothing selected: `meshproof list` shows what there is");
        return Ok(Exit::NothingSelected);
    }
    let rates = Rates {
        alpha: settings.alpha,
        beta: settings.beta,
    };
    let terms = Terms {
        rates,
        seed: settings.seed,
        jobs: settings.jobs,
    };
    if settings.dry_run {
        return dry_run(&plan::plan(scenarios, terms, None), settings);
    }
    let runtime = Runtime::new().map_err(CommandError::other)?;
    runtime.block_on(async {
        if settings.target == TargetKind::Kind {
            bring::check(settings.name.as_deref(), &settings.mesh).await?;
        }
        go(scenarios, terms, settings).await
    })
}

fn dry_run(plan: &Plan, settings: &Settings) -> Result<Exit, CommandError> {
    let text = match settings.output {
        crate::cli::Format::Text => plan.to_text().map_err(CommandError::other)?,
        crate::cli::Format::Json => {
            let json = plan.to_json().map_err(CommandError::other)?;
            format!("{json}\n")
        }
    };
    output::data(&text).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

async fn go(
    scenarios: Vec<Loaded>,
    terms: Terms,
    settings: &Settings,
) -> Result<Exit, CommandError> {
    let report_dir = settings
        .report_dir
        .clone()
        .unwrap_or_else(default_report_dir);
    let redactor = Redactor::default();
    let sink = Sink::open(SinkOptions {
        redactor: redactor.clone(),
        report_dir: Some(report_dir),
        format: settings.output,
        verbose: settings.verbose,
        quiet: settings.quiet,
        color: settings.color,
    });
    let sink = sink.map_err(CommandError::other)?;
    let bundle = sink.bundle().cloned();
    let (recorder, events) = Recorder::new();
    let telling = tokio::spawn(tell(sink, events));
    let (cancel, parting) = (CancellationToken::new(), Parting::default());
    signals::watch(cancel.clone(), recorder.clone(), parting.clone())
        .map_err(CommandError::other)?;
    recorder.emit(Kind::RunStarted(Box::new(info(settings, terms))));
    if let Err(error) = work(
        scenarios, terms, settings, &recorder, bundle, &redactor, &cancel, &parting,
    )
    .await
    {
        recorder.emit(Kind::PhaseEnded {
            phase: "bring-up".into(),
            ms: recorder.elapsed_ms(),
            error: Some(output::chain(&error)),
        });
    }
    recorder.emit(Kind::RunEnded {
        wall_ms: recorder.elapsed_ms(),
    });
    let finished = telling.await.map_err(CommandError::other)?;
    Ok(finished.tell())
}

/// Target up, scenarios, target down. A cancelled run still takes down what it brought up.
#[expect(
    clippy::too_many_arguments,
    reason = "the ends of every thread of a run meet here once"
)]
async fn work(
    scenarios: Vec<Loaded>,
    terms: Terms,
    settings: &Settings,
    recorder: &Recorder,
    bundle: Option<Bundle>,
    redactor: &Redactor,
    cancel: &CancellationToken,
    parting: &Parting,
) -> Result<(), CommandError> {
    let phases = Phases::new(recorder.clone());
    let run_id = run_id();
    let opening = On::open(settings, &run_id, &phases);
    let Some(on) = cancel.run_until_cancelled(opening).await else {
        return On::abandon(settings, &run_id).await;
    };
    let mut on = on?;
    parting.set(on.removal(settings, &run_id));
    let ready = on.ready();
    ready
        .secrets
        .iter()
        .for_each(|text| redactor.register(text));
    let tidy = match on.is_of_the_run(settings) {
        false => Tidy::Deleted,
        true if scenarios.len() * settings.repeat > terms.jobs => Tidy::Emptied,
        true => Tidy::WithTheWorld,
    };
    let lost = Lost::default();
    let open = session::Terms {
        run_id,
        rates: terms.rates,
        tidy,
        keep_failed: settings.keep != Keep::Never,
        mutation: mutation(settings)?,
        redactor: redactor.clone(),
        lost: lost.clone(),
    };
    let done = {
        let judged = scenarios_on(
            &ready, scenarios, terms, open, settings, recorder, bundle, cancel,
        );
        // Scenarios have that as their verdict; what is neither judged nor over by then has nobody to answer it.
        let ended = async {
            let why = on.ended().await;
            lost.tell(why.clone());
            tokio::time::sleep(AFTER_THE_END).await;
            why
        };
        tokio::select! {
            done = judged => done.map_err(|error| match lost.why() {
                Some(why) => CommandError::Other(why.into()),
                None => error,
            }),
            ended = ended => Err(CommandError::Other(ended.into())),
        }
    };
    let down = on.close(settings, &phases).await;
    if lost.why().is_none() {
        down?;
    }
    done
}

#[expect(
    clippy::too_many_arguments,
    reason = "the ends of every thread of a run meet here once"
)]
async fn scenarios_on(
    ready: &Ready,
    scenarios: Vec<Loaded>,
    terms: Terms,
    open: session::Terms,
    settings: &Settings,
    recorder: &Recorder,
    bundle: Option<Bundle>,
    cancel: &CancellationToken,
) -> Result<(), CommandError> {
    let offered = Offered::by(ready, &scenarios).await?;
    recorder.emit(Kind::TargetReady {
        versions: ready.versions.clone(),
        capabilities: offered.capabilities.iter().cloned().collect(),
        lacks: offered.lacks.clone(),
    });
    let known = known(&scenarios, &ready.versions)?;
    let repeated = (0..settings.repeat)
        .flat_map(|_| scenarios.clone())
        .collect();
    let plan = offered.plan(repeated, terms);
    let mut session = Session::new(ready, offered.found, recorder.clone(), bundle, open)
        .map_err(CommandError::other)?;
    let begun = cancel.run_until_cancelled(session.begin()).await;
    if let Some(Ok(())) = begun {
        let pace = Pace {
            jobs: terms.jobs,
            fail_fast: settings.fail_fast,
        };
        engine::run(&session.ctx, &plan.entries, &known, pace, cancel).await;
    }
    let somebodys = settings.target == TargetKind::Cluster;
    session
        .close(match somebodys || cancel.is_cancelled() {
            true => Ending::Watched,
            false => Ending::Done,
        })
        .await;
    match begun {
        Some(begun) => begun.map_err(CommandError::other),
        None => Ok(()),
    }
}

/// How long what is under way may take to notice that the target has ended.
const AFTER_THE_END: Duration = Duration::from_secs(15);

async fn tell(mut sink: Sink, mut events: UnboundedReceiver<Event>) -> Finished {
    while let Some(event) = events.recv().await {
        let last = matches!(event.kind, Kind::RunEnded { .. });
        sink.event(&event);
        if last {
            break;
        }
    }
    tokio::task::block_in_place(|| sink.finish())
}

/// Five letters and digits that no other run on this target has: from the clock and the process.
pub(super) fn run_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let mut number = RandomState::new().hash_one(std::process::id());
    let alphabet = b"bcdfghjklmnpqrstvwxz0123456789";
    let mut id = String::new();
    for _ in 0..5 {
        let at = usize::try_from(number % alphabet.len() as u64).unwrap_or(0);
        id.push(char::from(alphabet[at]));
        number /= alphabet.len() as u64;
    }
    id
}

fn default_report_dir() -> PathBuf {
    PathBuf::from("meshproof-report")
}

fn info(settings: &Settings, terms: Terms) -> RunInfo {
    let args: Vec<String> = std::env::args().skip(1).collect();
    RunInfo {
        schema: SCHEMA,
        run_id: String::new(),
        meshproof: env!("CARGO_PKG_VERSION").to_owned(),
        started: jiff::Timestamp::now().to_string(),
        target: settings.target.name().to_owned(),
        mesh: "istio".to_owned(),
        profile: settings.profile().to_owned(),
        seed: terms.seed,
        jobs: terms.jobs,
        alpha: terms.rates.alpha,
        beta: terms.rates.beta,
        reproduce: reproduce(&args, terms.seed),
        args,
    }
}

/// The same words, but for where the report goes, and with the seed.
fn reproduce(args: &[String], seed: u64) -> String {
    let mut words = vec!["meshproof"];
    let mut args = args.iter().map(String::as_str);
    while let Some(word) = args.next() {
        match word.split_once('=').map_or(word, |(name, _)| name) {
            "--report-dir" | "--seed" => {
                if !word.contains('=') {
                    args.next();
                }
            }
            _ => words.push(word),
        }
    }
    format!("{} --seed {seed}", words.join(" "))
}

/// The scenarios that the words and filters name. Nothing starts while any of them does not lint.
fn select(settings: &Settings) -> Result<Vec<Loaded>, CommandError> {
    let shard = settings
        .shard
        .map(|shard| (small(shard.index), small(shard.count)));
    let filter = Filter::new(settings.selector.as_deref(), &settings.proves, shard)
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    let set = selected::load(&settings.paths)?;
    let findings = lint::findings(&set, &[]);
    if !findings.is_empty() {
        selected::tell(&findings, None);
        let words = "these files do not lint, so nothing was started".to_owned();
        return Err(CommandError::Usage(words));
    }
    Ok(set
        .scenarios
        .into_iter()
        .filter(|loaded| filter.matches(loaded))
        .collect())
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn mutation(settings: &Settings) -> Result<Option<Mutation>, CommandError> {
    let found = settings.mutate.as_deref().map(mutation::find).transpose();
    let found = found.map_err(|error| CommandError::Usage(error.to_string()))?;
    let patched = found.as_ref().filter(|found| !found.patches.is_empty());
    if let Some(mutation) = patched.filter(|_| settings.target == TargetKind::Cluster) {
        return Err(CommandError::Usage(format!(
            "mutation {} changes what proxies get, also the gateway that all share: not on somebody's cluster; take --target local or kind",
            mutation.name
        )));
    }
    Ok(found)
}

/// Expected failures of the selected scenarios on this mesh and proxy.
fn known(
    scenarios: &[Loaded],
    versions: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Known>, CommandError> {
    let suites = Suites::open(Path::new("."));
    let (files, findings) = load_known(&suites.tree).map_err(CommandError::other)?;
    if !findings.is_empty() {
        selected::tell(&findings, None);
        return Err(CommandError::Usage("suites/known does not lint".to_owned()));
    }
    let version = |name: &str| versions.get(name).map_or("", String::as_str);
    let running = Running {
        mesh: "istio",
        version: version("istio"),
        envoy: version("envoy"),
    };
    let each = scenarios
        .iter()
        .filter_map(|loaded| Some((loaded.id.clone(), known::find(&files, &loaded.id, running)?)));
    Ok(each.collect())
}

#[cfg(test)]
mod tests {
    use super::reproduce;

    #[rstest::rstest]
    #[case("run suites/a.yaml", "meshproof run suites/a.yaml --seed 7")]
    #[case("run --report-dir /somewhere/else -j 2", "meshproof run -j 2 --seed 7")]
    #[case("run --report-dir=/x --seed=3 -l a=b", "meshproof run -l a=b --seed 7")]
    #[case("run --seed 3", "meshproof run --seed 7")]
    fn the_command_to_run_again_names_no_place_of_this_machine(
        #[case] args: &str,
        #[case] command: &str,
    ) {
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        assert_eq!(reproduce(&args, 7), command);
    }
}
