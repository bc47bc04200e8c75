//! `meshproof schema`: prints the JSON Schema for completion and checks in an editor (`#
//! yaml-language-server: $schema=…`).

use super::CommandError;
use crate::exit::Exit;
use crate::output;
use crate::scenario::schema;

pub fn run() -> Result<Exit, CommandError> {
    output::data(&schema::scenario_text()).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}
