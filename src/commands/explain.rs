//! `meshproof explain PATH…`.

use super::{CommandError, selected};
use crate::cli::{ExplainArgs, GlobalArgs};
use crate::exit::Exit;
use crate::output;
use crate::scenario::explain::explain;
use crate::verdict::Rates;

pub fn run(args: &ExplainArgs, global: &GlobalArgs) -> Result<Exit, CommandError> {
    let set = selected::load(&args.paths)?;
    selected::tell(&set.findings, global.color);
    let mut pages = Vec::new();
    for loaded in &set.scenarios {
        let page = explain(loaded, Rates::default());
        pages.push(page.map_err(|error| CommandError::Usage(format!("{}: {error}", loaded.file)))?);
    }
    output::data(&pages.join("\n")).map_err(CommandError::Stdout)?;
    Ok(match (set.findings.is_empty(), pages.is_empty()) {
        (false, _) => Exit::Usage,
        (true, true) => Exit::NothingSelected,
        (true, false) => Exit::Ok,
    })
}
