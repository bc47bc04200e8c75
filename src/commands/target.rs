//! `meshproof target up|down|status|shell`: targets that outlive a run.

use std::process::Command;

use tokio::runtime::Runtime;

use super::{CommandError, bring};
use crate::{
    cli::{Format, TargetArgs, TargetCommand, TargetName, TargetShell, TargetStatus, TargetUp},
    exit::Exit,
    output,
    run::{event::Kind, phases::Phases, recorder::Recorder},
    target::local::{shell, world::launch::World},
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
    let name = &args.which.name;
    if World::find(name).is_ok() {
        return Err(CommandError::Usage(format!(
            "a local target called {name} is already up; use it with run --name {name}, or end it with target down --name {name}"
        )));
    }
    let (recorder, mut events) = Recorder::new();
    let telling = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let Kind::PhaseEnded {
                phase,
                ms,
                error: None,
            } = event.kind
            {
                output::say(&format!(
                    "{phase}: {:.1} s",
                    std::time::Duration::from_millis(ms).as_secs_f64()
                ));
            }
        }
    });
    let parts = bring::Parts {
        name: Some(name),
        envoy: args.envoy.as_deref(),
        images: &args.images,
    };
    let phases = Phases::new(recorder);
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
    output::data(&format!("export KUBECONFIG={}\n", kubeconfig.display()))
        .map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

async fn down(args: &TargetName) -> Result<Exit, CommandError> {
    let world = World::find(&args.name).map_err(|error| CommandError::Usage(error.to_string()))?;
    world.shut_down().await.map_err(CommandError::other)?;
    output::say(&format!("the local target {} is down", args.name));
    Ok(Exit::Ok)
}

fn status(args: &TargetStatus) -> Result<Exit, CommandError> {
    let worlds = World::all();
    let text = match args.output {
        Format::Json => {
            let rows = worlds.iter().map(|world| {
                serde_json::json!({
                    "name": world.spec.name, "kept": world.spec.kept, "kubeconfig": world.spec.kubeconfig(),
                    "pid": world.init_pid().map(nix::unistd::Pid::as_raw), "envoy": world.spec.envoy_version})
            });
            format!("{}\n", serde_json::Value::from_iter(rows))
        }
        Format::Text if worlds.is_empty() => "no local target is up\n".to_owned(),
        Format::Text => worlds.iter().map(line).collect(),
    };
    output::data(&text).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

fn line(world: &World) -> String {
    let kind = if world.spec.kept { "kept" } else { "of a run" };
    format!(
        "{}\t{kind}\tenvoy {}\tKUBECONFIG={}\n",
        world.spec.name,
        world.spec.envoy_version,
        world.spec.kubeconfig().display()
    )
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
