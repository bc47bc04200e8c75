//! Finds out from clap's matches which flags were given.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, parser::ValueSource};

use super::Cli;
use crate::flags::given::Given;

/// Returns the flags of a command that were given, in the order of its definition. `path` names
/// the command below `meshproof`.
pub fn given(path: &[&str], matches: &ArgMatches) -> Vec<Given> {
    let root = Cli::command();
    let command = path
        .iter()
        .try_fold(&root, |command, name| command.find_subcommand(name));
    let own = command.map(|command| all(command, matches));
    let mut given = own.unwrap_or_default();
    // Global flags are defined at the root.
    given.extend(all(&root, matches));
    given
}

fn all(command: &Command, matches: &ArgMatches) -> Vec<Given> {
    let args = command.get_arguments();
    args.filter_map(|arg| one(arg, matches)).collect()
}

fn one(arg: &Arg, matches: &ArgMatches) -> Option<Given> {
    let id = arg.get_id().as_str();
    matches.try_contains_id(id).ok()?;
    let variable = match matches.value_source(id)? {
        ValueSource::CommandLine => None,
        ValueSource::EnvVariable => Some(arg.get_env()?.to_string_lossy().into_owned()),
        _ => return None,
    };
    let values = match arg.get_action() {
        ArgAction::Set | ArgAction::Append => matches.get_raw(id)?.map(OsString::from).collect(),
        // A variable can also be set to `false`.
        ArgAction::SetTrue if !matches.get_flag(id) => return None,
        _ => Vec::new(),
    };
    Some(Given {
        id: id.to_owned(),
        flag: arg
            .get_long()
            .map_or_else(String::new, |long| format!("--{long}")),
        values,
        variable,
    })
}
