//! `meshproof completions SHELL`.

use clap::CommandFactory;

use super::CommandError;
use crate::cli::{Cli, CompletionsArgs};
use crate::exit::Exit;
use crate::output;

pub fn run(args: &CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "meshproof", &mut script);
    output::data(&String::from_utf8_lossy(&script)).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}
