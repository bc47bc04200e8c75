//! `meshproof report DIR`: renders reports again from the event log, byte for byte as the run did.

use std::path::Path;

use super::CommandError;
use crate::{
    cli::ReportArgs,
    evidence::bundle::write_whole,
    exit::Exit,
    output,
    report::{
        folder, jsonl,
        model::Model,
        render::{CONFORMANCE, HTML, JSON, JUNIT, Rendering, SUMMARY, write_all},
        text,
    },
};

/// The exit code says only whether rendering succeeded; it does not repeat the code of the run.
pub fn run(args: &ReportArgs) -> Result<Exit, CommandError> {
    let log = jsonl::read(&args.dir).map_err(|error| match error.is_usage() {
        true => CommandError::usage(&error),
        false => CommandError::other(error),
    })?;
    if log.torn {
        output::say("note: the last line of the event log is incomplete and was skipped");
    }
    let model = Model::from_events(&log.events);
    let chosen = [
        (&args.json, JSON),
        (&args.junit, JUNIT),
        (&args.html, HTML),
        (&args.summary, SUMMARY),
        (&args.conformance, CONFORMANCE),
    ];
    let mut written = 0;
    for (path, rendering) in chosen {
        if let Some(path) = path {
            write(&model, path, &rendering)?;
            written += 1;
        }
    }
    if written == 0 {
        let _lock =
            folder::lock_for_reports(&args.dir).map_err(|error| match error.is_usage() {
                true => CommandError::Usage(error.to_string()),
                false => CommandError::other(error),
            })?;
        write_all(&model, &args.dir).map_err(CommandError::other)?;
    }
    output::say(&text::counts(&model));
    Ok(Exit::Ok)
}

fn write(model: &Model, path: &Path, rendering: &Rendering) -> Result<(), CommandError> {
    let page = (rendering.render)(model);
    if path == Path::new("-") {
        let written = match rendering.file == JSON.file {
            true => output::json_text(&page),
            false => output::data(&page),
        };
        written.map_err(CommandError::Stdout)
    } else {
        write_whole(path, page.as_bytes()).map_err(CommandError::other)
    }
}
