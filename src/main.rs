//! Parses the command line, sets up the process, runs one command, and turns its outcome into an
//! exit code.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use meshproof::cli::{self, Cli, Command, TargetCommand};
use meshproof::commands::{self, CommandError};
use meshproof::errors::chain;
use meshproof::exit::Exit;
use meshproof::output;
use meshproof::settings::{Settings, check_target};
use nix::sys::signal::{SigSet, Signal};
use tracing_subscriber::EnvFilter;

/// Linux's default stack size of a process, in bytes.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    // Internal roles (`meshproof __…`, the processes of the local world) branch off here: before
    // clap, before any thread.
    if let Some(code) = meshproof::targets::local::internal::dispatch() {
        return code;
    }
    install_process_defaults();
    // A thread gets the requested stack size, whatever `ulimit -s` sets for the main thread.
    let work = std::thread::Builder::new()
        .name("meshproof".to_owned())
        .stack_size(STACK);
    match work.spawn(work_off).map(std::thread::JoinHandle::join) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(_)) => ExitCode::from(101), // the panic hook has printed the message
        Err(error) => {
            output::say(&format!("error: cannot start a thread: {error}"));
            Exit::Error.into()
        }
    }
}

fn work_off() -> Exit {
    let matches = Cli::command()
        .try_get_matches()
        .unwrap_or_else(|error| leave(&error));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| leave(&error));
    dispatch(cli, &matches).unwrap_or_else(|error| {
        output::say(&format!("error: {}", output::clean(&chain(&error))));
        error.exit()
    })
}

/// Exits as clap does. What it quotes of the command line may be a URL with a password, which is
/// masked when printed.
#[expect(clippy::exit, reason = "clap exits in the same way")]
fn leave(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    if !error.use_stderr() || !text.contains('@') {
        error.exit();
    }
    output::say(text.trim_end());
    std::process::exit(error.exit_code())
}

fn dispatch(cli: Cli, matches: &ArgMatches) -> Result<Exit, CommandError> {
    let Cli { global, command } = cli;
    match command {
        Command::Run(args) => {
            let own = matches.subcommand_matches("run").unwrap_or(matches);
            commands::run::run(&Settings::from_run(*args, &global, own)?)
        }
        Command::Mutate(args) => commands::mutate::run(&args),
        Command::Target(args) => {
            let own = matches
                .subcommand_matches("target")
                .and_then(|own| own.subcommand_matches("up"));
            if let (TargetCommand::Up(up), Some(own)) = (&args.command, own) {
                commands::requested_target::target_up(up, own)?;
            }
            commands::target::run(args)
        }
        Command::Doctor(args) => {
            let own = matches.subcommand_matches("doctor").unwrap_or(matches);
            check_target(
                &cli::given(&["doctor"], own),
                args.target.unwrap_or_default(),
            )?;
            commands::doctor::run(&args, &global)
        }
        Command::Toolchain(args) => commands::toolchain::run(&args),
        Command::Image(args) => commands::image::run(&args),
        Command::List(args) => commands::list::run(&args, &global),
        Command::Lint(args) => commands::lint::run(&args, &global),
        Command::Explain(args) => commands::explain::run(&args, &global),
        Command::Report(args) => commands::report::run(&args),
        Command::Schema => commands::schema::run(),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man => commands::man::run(),
    }
}

/// Installs the TLS provider (ring, the only one compiled in) and developers' logs on stderr
/// (`RUST_LOG`).
fn install_process_defaults() {
    // Exceeding the file size limit (`ulimit -f`) then is a write error with the file's name,
    // instead of a signal that ends the process.
    let mut file_size = SigSet::empty();
    file_size.add(Signal::SIGXFSZ);
    let _ = file_size.thread_block();
    // Only fails if one is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("error,kube_client=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| output::Stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
