//! `meshproof target up|down|shell`: targets that outlive a run.

use std::{path::Path, process::Command};

use tokio::{runtime::Runtime, task::JoinHandle};

use super::{CommandError, gc, provision, reached::Reached, status};
use crate::{
    cli::{TargetArgs, TargetCommand, TargetDown, TargetShell, TargetUp},
    cluster::runs::SweepScope,
    event::{self, phases::Phases, recorder::Recorder},
    exit::Exit,
    output,
    run::signals::Signals,
    settings::MeshSettings,
    targets::{
        TargetKind,
        kind::{KindCluster, Record},
        local::{
            shell,
            world::launch::{World, WorldError},
        },
    },
    timeouts,
};

/// Runs one of the subcommands.
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
        TargetCommand::Status(args) => Runtime::new()
            .map_err(CommandError::other)?
            .block_on(status::run(&args)),
        TargetCommand::Gc(args) => Runtime::new()
            .map_err(CommandError::other)?
            .block_on(gc::run(&args)),
        TargetCommand::Shell(args) => enter(&args),
    }
}

async fn up(args: &TargetUp) -> Result<Exit, CommandError> {
    timeouts::set_scale(args.timeout_scale.unwrap_or(1.0));
    match args.target.unwrap_or_default() {
        TargetKind::Local => up_local(args).await,
        TargetKind::Kind => up_kind(args).await,
        TargetKind::Cluster => Err(CommandError::Usage(
            "an existing cluster is already up: use meshproof run --target cluster --context NAME"
                .to_owned(),
        )),
    }
}

async fn up_local(args: &TargetUp) -> Result<Exit, CommandError> {
    let name = &args.which.name;
    match World::find(name) {
        Err(WorldError::NotUp { .. }) => {}
        Err(error @ WorldError::Name(_)) => return Err(CommandError::usage(&error)),
        Err(error) => return Err(CommandError::of(error)),
        Ok(_) => {
            let name = name.clone();
            return Err(CommandError::Usage(
                WorldError::AlreadyUp { name }.to_string(),
            ));
        }
    }
    let mut signals = Signals::new().map_err(CommandError::other)?;
    let (phases, telling) = told_phases();
    let parts = provision::LocalOptions {
        name: Some(name),
        envoy: args.envoy.as_deref(),
        images: &args.images,
        fresh: args.fresh,
    };
    let working = provision::local(&parts, &phases);
    let local = tokio::select! {
        done = working => done?,
        (_, number) = signals.next() => {
            if let Ok(world) = World::find(name) {
                world.shut_down().await.map_err(CommandError::of)?;
            }
            return Ok(Exit::Signal(number));
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
    let (name, mesh) = (&args.which.name, MeshSettings::from(args.mesh.clone()));
    provision::check(Some(name), &mesh).await?;
    let mut signals = Signals::new().map_err(CommandError::other)?;
    let (phases, telling) = told_phases();
    let kind = tokio::select! {
        done = provision::kind(name, true, &mesh, &phases) => done?,
        (_, number) = signals.next() => {
            if let Some(record) = Record::find(name) {
                KindCluster::take_down(&record).await.map_err(CommandError::of)?;
            }
            return Ok(Exit::Signal(number));
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

/// Phases whose durations are printed on stderr.
fn told_phases() -> (Phases, JoinHandle<()>) {
    let (recorder, mut events) = Recorder::new();
    let telling = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let event::EventKind::PhaseEnded {
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
    let reached = Reached::find(&args.which)?;
    let name = reached.name().to_owned();
    let answer = match reached {
        Reached::Local(world) => {
            world.shut_down().await.map_err(CommandError::of)?;
            format!("the local target {name} is down")
        }
        Reached::Kind(record) if record.made => {
            KindCluster::take_down(&record)
                .await
                .map_err(CommandError::of)?;
            format!("the kind cluster {name} is deleted")
        }
        Reached::Kind(_) | Reached::Cluster { .. } => {
            let exit = gc::sweep(&reached, SweepScope::All, false).await?;
            if let Reached::Kind(record) = &reached {
                record.remove();
            }
            output::say(&format!(
                "the cluster {name} was not created by meshproof and stays up"
            ));
            return Ok(exit);
        }
    };
    output::say(&answer);
    Ok(Exit::Ok)
}

/// Enters the world through this program's own `__shell` role, which must be single-threaded.
fn enter(args: &TargetShell) -> Result<Exit, CommandError> {
    let world = World::find(&args.which.name).map_err(|error| CommandError::usage(&error))?;
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
