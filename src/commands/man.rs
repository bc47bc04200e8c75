//! `meshproof man`.

use std::io;

use clap::CommandFactory;

use super::CommandError;
use crate::cli::Cli;
use crate::exit::Exit;
use crate::output;

/// Prints one page: the command, then each subcommand at every depth, without hidden ones.
pub fn run() -> Result<Exit, CommandError> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    render(&command, &mut page).map_err(CommandError::other)?;
    output::data(&String::from_utf8_lossy(&page)).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}

fn render(command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(page)?;
    let subcommands = command.get_subcommands();
    subcommands
        .filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
        .try_for_each(|sub| render(sub, page))
}
