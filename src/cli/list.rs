//! `meshproof list`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::output::Format;

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Suite files, folders, scenario ids or globs over ids (default: every built-in scenario).
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only scenarios with these labels, e.g. `area=routing,level=core`.
    #[arg(short = 'l', long, value_name = "KEY=VALUE")]
    pub selector: Option<String>,
    /// Only scenarios that prove these requirement ids, e.g. `B1,T3`.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub proves: Vec<String>,
    /// Grouping of the output.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<ListBy>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListBy {
    /// One line per requirement id, with the scenarios that prove it.
    Requirement,
    /// A Markdown table of the scenarios that have a Gateway API variant.
    Dialect,
}
