//! `meshproof explain PATH…`.

use super::{CommandError, selected};
use crate::{
    cli::{ExplainArgs, GlobalArgs},
    exit::Exit,
    output,
    plan::explain::explain,
    verdict::Rates,
};

pub fn run(args: &ExplainArgs, global: &GlobalArgs) -> Result<Exit, CommandError> {
    let set = selected::load(&args.paths)?;
    selected::tell(&set.findings, global.color);
    let mut pages = Vec::new();
    for loaded in &set.scenarios {
        let page = explain(loaded, Rates::default());
        pages.push(page.map_err(|error| CommandError::Usage(format!("{}: {error}", loaded.file)))?);
    }
    if pages.is_empty() && set.findings.is_empty() {
        return Err(selected::nothing(&set));
    }
    output::data(&pages.join("\n")).map_err(CommandError::Stdout)?;
    Ok(match selected::has_errors(&set.findings) {
        true => Exit::Usage,
        false => Exit::Ok,
    })
}
