//! `meshproof schema`: for completion and checks in an editor (`# yaml-language-server: $schema=…`).

use super::CommandError;
use crate::exit::Exit;
use crate::output;
use crate::scenario::model::Scenario;

pub fn run() -> Result<Exit, CommandError> {
    output::json(&schemars::schema_for!(Scenario)).map_err(CommandError::Stdout)?;
    Ok(Exit::Ok)
}
