//! All report files of a model.

use std::path::{Path, PathBuf};

use super::{conformance, html, json, junit, model::Model, summary};
use crate::evidence::bundle::{WriteError, write_whole};

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

/// All files in `--report-dir` besides the event log and the evidence.
pub const ALL: [Rendering; 5] = [JSON, JUNIT, HTML, SUMMARY, CONFORMANCE];

/// Writes all reports into `dir`, or none: an incomplete set could be taken for a complete one.
///
/// # Errors
/// A file can't be written.
pub fn write_all(model: &Model, dir: &Path) -> Result<(), WriteError> {
    let write = |r: Rendering| write_whole(&dir.join(r.file), (r.render)(model).as_bytes());
    let written = ALL.into_iter().try_for_each(write);
    if written.is_err() {
        remove_all(dir);
    }
    written
}

/// The first report file that exists in a directory, whoever wrote it.
pub fn present(dir: &Path) -> Option<PathBuf> {
    let all = ALL.into_iter().map(|rendering| dir.join(rendering.file));
    all.into_iter()
        .find(|path| std::fs::symlink_metadata(path).is_ok())
}

/// Removes the reports of an earlier or failed run, so that they are not taken for this run's. The
/// log and the evidence stay.
pub fn remove_all(dir: &Path) {
    for rendering in ALL {
        // Best effort: what can't be removed can't be written either, which is an error later.
        let path = dir.join(rendering.file);
        if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            let _ = std::fs::remove_file(path);
        }
    }
}
