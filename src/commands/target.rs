//! `meshproof target up|down|status|shell`: targets that outlive a run.

use std::{path::Path, process::Command};

use tokio::{runtime::Runtime, task::JoinHandle};

use super::{CommandError, bring};
use crate::{
    cli::{
        Format, TargetArgs, TargetCommand, TargetDown, TargetKind, TargetShell, TargetStatus,
        TargetUp,
    },
    exit::Exit,
    output,
    run::{event, phases::Phases, recorder::Recorder},
    target::{
        kind::{Kind, KindError, Record},
        local::{
            shell,
            world::launch::{World, WorldError},
        },
    },
};

/// Carries out one of the subcommands.
///
/// # Errors
/// [`CommandError`].
pub fn run(args: TargetArgs) -> Result<Exit, CommandError> {
    match args.command {
        TargetCommand::Up(args) => Runtime::new()
            .map_err(CommandError::other)?
            .block_on(up(&args)),
        TargetCommand::Down(args) => Runtime::new()
            .map_err(CommandError::other)?
            .block_on(down(&args)),
        TargetCommand::Status(args) => status(&args),
        TargetCommand::Shell(args) => enter(&args),
    }
}

async fn up(args: &TargetUp) -> Result<Exit, CommandError> {
    match args.target.unwrap_or_default() {
        TargetKind::Local => up_local(args).await,
        TargetKind::Kind => up_kind(args).await,
        TargetKind::Cluster => Err(CommandError::Usage(
            "an existing cluster is up already: meshproof run --target cluster --context NAME"
                .to_owned(),
        )),
    }
}

async fn up_local(args: &TargetUp) -> Result<Exit, CommandError> {
    let name = &args.which.name;
    match World::find(name) {
        Err(WorldError::NotUp { .. }) => {}
        Err(error @ WorldError::Name(_)) => return Err(CommandError::Usage(error.to_string())),
        Err(error) => return Err(CommandError::other(error)),
        Ok(_) => {
            let name = name.clone();
            return Err(CommandError::Usage(
                WorldError::AlreadyUp { name }.to_string(),
            ));
        }
    }
    let (phases, telling) = told_phases();
    let parts = bring::Parts {
        name: Some(name),
        envoy: args.envoy.as_deref(),
        images: &args.images,
    };
    let working = bring::local(&parts, &phases);
    let local = tokio::select! {
        done = working => done?,
        _ = tokio::signal::ctrl_c() => {
            if let Ok(world) = World::find(name) {
                world.shut_down().await.map_err(CommandError::other)?;
            }
            return Ok(Exit::INTERRUPTED);
        }
    };
    drop(phases);
    let _ = telling.await;
    let kubeconfig = local.world.spec.kubeconfig();
    local.world.detach();
    output::say(&format!(
        "the local target {name} is up: meshproof run --name {name}, meshproof target shell --name {name}"
    ));
    say_kubeconfig(&kubeconfig)
}

async fn up_kind(args: &TargetUp) -> Result<Exit, CommandError> {
    let name = &args.which.name;
    bring::check(Some(name), &args.mesh).await?;
    let (phases, telling) = told_phases();
    let kind = tokio::select! {
        done = bring::kind(name, true, &args.mesh, &phases) => done?,
        _ = tokio::signal::ctrl_c() => {
            if let Some(record) = Record::find(name) {
                Kind::take_down(&record).await.map_err(CommandError::other)?;
            }
            return Ok(Exit::INTERRUPTED);
        }
    };
    drop(phases);
    let _ = telling.await;
    output::say(&format!(
        "the kind cluster {name} is up: meshproof run --target kind --name {name}"
    ));
    say_kubeconfig(&kind.kubeconfig())
}

fn say_kubeconfig(kubeconfig: &Path) -> Result<Exit, CommandError> {
    output::data(&format!("export KUBECONFIG={}\n", kubeconfig.display()))
        .map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

/// Phases whose times are told on standard error.
fn told_phases() -> (Phases, JoinHandle<()>) {
    let (recorder, mut events) = Recorder::new();
    let telling = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let event::Kind::PhaseEnded {
                phase,
                ms,
                error: None,
            } = event.kind
            {
                let took = std::time::Duration::from_millis(ms).as_secs_f64();
                output::say(&format!("{phase}: {took:.1} s"));
            }
        }
    });
    (Phases::new(recorder), telling)
}

async fn down(args: &TargetDown) -> Result<Exit, CommandError> {
    let name = &args.which.name;
    let (world, cluster) = (World::find(name), Record::find(name));
    let kind = match (args.target, &world, &cluster) {
        (Some(kind), ..) => kind,
        (None, Ok(_), Some(_)) => {
            return Err(CommandError::Usage(format!(
                "a local target and a kind cluster are called {name}: say --target local or --target kind"
            )));
        }
        (None, Err(_), Some(_)) => TargetKind::Kind,
        (None, ..) => TargetKind::Local,
    };
    let said = match (kind, cluster) {
        (TargetKind::Kind, Some(record)) => {
            let done = Kind::take_down(&record)
                .await
                .map_err(CommandError::other)?;
            format!("the kind cluster {name} is {done}")
        }
        (TargetKind::Kind, None) => {
            let name = name.clone();
            return Err(CommandError::Usage(KindError::NotUp { name }.to_string()));
        }
        _ => {
            let world = world.map_err(|error| CommandError::Usage(error.to_string()))?;
            world.shut_down().await.map_err(CommandError::other)?;
            format!("the local target {name} is down")
        }
    };
    output::say(&said);
    Ok(Exit::Ok)
}

fn status(args: &TargetStatus) -> Result<Exit, CommandError> {
    let (worlds, clusters) = (World::all(), Record::all());
    let text = match args.output {
        Format::Json => {
            let local = worlds.iter().map(|world| {
                serde_json::json!({
                    "target": "local", "name": world.spec.name, "kept": world.spec.kept, "kubeconfig": world.spec.kubeconfig(),
                    "pid": world.init_pid().map(nix::unistd::Pid::as_raw), "envoy": world.spec.envoy_version})
            });
            let kind = clusters.iter().map(|record| {
                serde_json::json!({
                    "target": "kind", "name": record.name, "kept": record.kept, "kubeconfig": record.kubeconfig(),
                    "made": record.made, "state": state(record), "profile": record.profile})
            });
            format!("{}\n", serde_json::Value::from_iter(local.chain(kind)))
        }
        Format::Text if worlds.is_empty() && clusters.is_empty() => "no target is up\n".to_owned(),
        Format::Text => {
            let local = worlds.iter().map(line);
            local.chain(clusters.iter().map(cluster_line)).collect()
        }
    };
    output::data(&text).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

fn line(world: &World) -> String {
    let kind = if world.spec.kept { "kept" } else { "of a run" };
    format!(
        "{}\tlocal\t{kind}\tenvoy {}\tKUBECONFIG={}\n",
        world.spec.name,
        world.spec.envoy_version,
        world.spec.kubeconfig().display()
    )
}

fn cluster_line(record: &Record) -> String {
    format!(
        "{}\tkind\t{}\tprofile {}\tKUBECONFIG={}\n",
        record.name,
        state(record),
        record.profile.as_deref().unwrap_or("-"),
        record.kubeconfig().display()
    )
}

/// What is known of a cluster without asking its engine.
fn state(record: &Record) -> &'static str {
    match (
        record.made,
        record.is_owned(),
        record.kept && record.profile.is_some(),
    ) {
        (false, ..) => "of somebody else, in use",
        (true, _, true) => "kept",
        (true, true, false) => "of a run",
        (true, false, false) => "left over: its run is gone (meshproof target down removes it)",
    }
}

/// Enters the world through this program's own `__shell` role, which must be single-threaded.
fn enter(args: &TargetShell) -> Result<Exit, CommandError> {
    let world =
        World::find(&args.which.name).map_err(|error| CommandError::Usage(error.to_string()))?;
    let exe = std::env::current_exe().map_err(CommandError::other)?;
    let status = Command::new(exe)
        .arg(shell::ROLE)
        .arg(&world.spec.state)
        .args(&args.command)
        .status();
    let status = status.map_err(CommandError::other)?;
    Ok(Exit::Child(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
    ))
}
