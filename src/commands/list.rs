//! `meshproof list`.

use super::{CommandError, selection};
use crate::{
    cli::{GlobalArgs, ListArgs, ListBy},
    exit::Exit,
    output::{self, Format},
    scenario::{
        list::{by_dialect, by_dialect_text, by_requirement, by_requirement_text, list, list_text},
        select::Filter,
    },
};

pub fn run(args: &ListArgs, global: &GlobalArgs) -> Result<Exit, CommandError> {
    let filter =
        Filter::new(args.selector.as_deref(), &args.proves, None).map_err(selection::usage)?;
    let mut set = selection::load(&args.paths)?;
    selection::print_findings(&set.findings, global.color);
    let scenarios = std::mem::take(&mut set.scenarios);
    let listed = list(&selection::filter(scenarios, &filter)?);
    if listed.is_empty() && set.findings.is_empty() && set.manifests > 0 {
        return Err(selection::nothing(&set));
    }
    let printed = match (args.by, args.output) {
        (None, Format::Text) => output::data(&list_text(&listed)),
        (None, Format::Json) => output::json(&listed),
        (Some(ListBy::Requirement), Format::Text) => {
            output::data(&by_requirement_text(&by_requirement(&listed)))
        }
        (Some(ListBy::Requirement), Format::Json) => output::json(&by_requirement(&listed)),
        (Some(ListBy::Dialect), Format::Text) => {
            output::data(&by_dialect_text(&by_dialect(&listed)))
        }
        (Some(ListBy::Dialect), Format::Json) => output::json(&by_dialect(&listed)),
    };
    printed.map_err(CommandError::Stdout)?;
    Ok(
        match (!selection::has_errors(&set.findings), listed.is_empty()) {
            (false, _) => Exit::Usage,
            (true, true) => Exit::NothingSelected,
            (true, false) => Exit::Ok,
        },
    )
}
