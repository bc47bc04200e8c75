//! `meshproof completions SHELL`.

use clap::{Args as _, Command, CommandFactory as _};

use super::CommandError;
use crate::cli::{Cli, CompletionsArgs, GlobalArgs};
use crate::exit::Exit;
use crate::output;

pub fn run(args: &CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), "meshproof", &mut script);
    output::data(&String::from_utf8_lossy(&script)).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

/// The commands to complete: all except hidden ones, which clap_complete would also suggest.
fn shown() -> Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|own| !own.is_hide_set());
    GlobalArgs::augment_args(Command::new("meshproof"))
        .version(env!("CARGO_PKG_VERSION"))
        .long_about(whole.get_long_about().cloned().unwrap_or_default())
        .subcommands(commands.cloned())
}
