//! `meshproof explain PATH…`.

use super::{CommandError, selection};
use crate::{
    cli::{ExplainArgs, GlobalArgs},
    exit::Exit,
    output,
    plan::explain::explain,
    verdict::Rates,
};

pub fn run(args: &ExplainArgs, global: &GlobalArgs) -> Result<Exit, CommandError> {
    let set = selection::load(&args.paths)?;
    selection::print_findings(&set.findings, global.color);
    let mut pages = Vec::new();
    for loaded in &set.scenarios {
        let page = explain(loaded, Rates::default());
        pages.push(page.map_err(|error| CommandError::Usage(format!("{}: {error}", loaded.file)))?);
    }
    if pages.is_empty() && set.findings.is_empty() {
        return Err(selection::nothing(&set));
    }
    output::data(&pages.join("\n")).map_err(CommandError::Stdout)?;
    Ok(match selection::has_errors(&set.findings) {
        true => Exit::Usage,
        false => Exit::Ok,
    })
}
