//! `meshproof man`.

use clap::CommandFactory;

use super::CommandError;
use crate::cli::Cli;
use crate::exit::Exit;
use crate::output;

/// One page: the command, then each subcommand.
pub fn run() -> Result<Exit, CommandError> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let render =
        |command: clap::Command, page: &mut Vec<u8>| clap_mangen::Man::new(command).render(page);
    render(command.clone(), &mut page).map_err(CommandError::other)?;
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        render(sub.clone(), &mut page).map_err(CommandError::other)?;
    }
    output::data(&String::from_utf8_lossy(&page)).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}
