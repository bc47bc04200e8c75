//! Flags as they were given, on the command line or by the environment.

use std::{ffi::OsString, fmt};

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, parser::ValueSource};

use super::{Cli, flags};

/// A flag that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// clap's id of it.
    pub id: String,
    /// `--name`; a positional argument has none.
    pub flag: String,
    /// Raw, one for each time; none for a flag without a value.
    pub values: Vec<OsString>,
    /// The variable that it came by.
    pub variable: Option<String>,
}

impl Given {
    /// The flags of a command that were given, in the order of its definition. `path` names the command below `meshproof`.
    pub fn of(path: &[&str], matches: &ArgMatches) -> Vec<Self> {
        let root = Cli::command();
        let command = path
            .iter()
            .try_fold(&root, |command, name| command.find_subcommand(name));
        let own = command.map(|command| Self::all(command, matches));
        let mut all = own.unwrap_or_default();
        // Flags of every command stand at the root.
        all.extend(Self::all(&root, matches));
        all
    }

    fn all(command: &Command, matches: &ArgMatches) -> Vec<Self> {
        let args = command.get_arguments();
        args.filter_map(|arg| Self::one(arg, matches)).collect()
    }

    fn one(arg: &Arg, matches: &ArgMatches) -> Option<Self> {
        let id = arg.get_id().as_str();
        matches.try_contains_id(id).ok()?;
        let variable = match matches.value_source(id)? {
            ValueSource::CommandLine => None,
            ValueSource::EnvVariable => Some(arg.get_env()?.to_string_lossy().into_owned()),
            _ => return None,
        };
        let values = match arg.get_action() {
            ArgAction::Set | ArgAction::Append => {
                matches.get_raw(id)?.map(OsString::from).collect()
            }
            // A variable can also say no.
            ArgAction::SetTrue if !matches.get_flag(id) => return None,
            _ => Vec::new(),
        };
        Some(Self {
            id: id.to_owned(),
            flag: arg
                .get_long()
                .map_or_else(String::new, |long| format!("--{long}")),
            values,
            variable,
        })
    }

    /// Its entry in [`flags::FLAGS`].
    pub fn entry(&self) -> Option<&'static flags::Flag> {
        flags::find(&self.id)
    }

    /// Its values as they read; bytes that are no text are replaced.
    pub fn words(&self) -> Vec<String> {
        let words = self.values.iter();
        words
            .map(|value| value.to_string_lossy().into_owned())
            .collect()
    }
}

/// As it was given: `--istio 1.28.0`, or `MESHPROOF_ISTIO=1.28.0`.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.words().join(" ");
        match &self.variable {
            Some(variable) => write!(f, "{variable}={value}"),
            None => f.write_str(format!("{} {value}", self.flag).trim()),
        }
    }
}
