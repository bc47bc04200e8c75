//! All report files of one model.

use std::path::Path;

use super::bundle::{WriteError, write_whole};
use super::model::Model;
use super::{conformance, html, json, junit, summary};

/// A report file by its fixed name in a report directory.
pub struct Rendering {
    pub file: &'static str,
    pub render: fn(&Model) -> String,
}

pub const JSON: Rendering = Rendering {
    file: "report.json",
    render: json::render,
};
pub const JUNIT: Rendering = Rendering {
    file: "junit.xml",
    render: junit::render,
};
pub const HTML: Rendering = Rendering {
    file: "report.html",
    render: html::render,
};
pub const SUMMARY: Rendering = Rendering {
    file: "summary.md",
    render: summary::render,
};
pub const CONFORMANCE: Rendering = Rendering {
    file: "conformance.yaml",
    render: conformance::render,
};

/// Everything that `--report-dir` holds beside the event log and the evidence.
pub const ALL: [Rendering; 5] = [JSON, JUNIT, HTML, SUMMARY, CONFORMANCE];

/// Writes all reports into `dir`. Tries every file; the first failure is returned.
///
/// # Errors
/// A file can't be written.
pub fn write_all(model: &Model, dir: &Path) -> Result<(), WriteError> {
    let write = |r: Rendering| write_whole(&dir.join(r.file), (r.render)(model).as_bytes());
    let written: Vec<_> = ALL.into_iter().map(write).collect();
    written.into_iter().collect()
}
