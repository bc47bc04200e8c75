//! `meshproof report`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Report directory of a run (holds `events.jsonl`).
    pub dir: PathBuf,
    /// Write the JSON report here.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub json: Option<PathBuf>,
    /// Write JUnit XML here.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub junit: Option<PathBuf>,
    /// Write the self-contained HTML page here.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub html: Option<PathBuf>,
    /// Write the Markdown summary here.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub summary: Option<PathBuf>,
    /// Write the conformance report (YAML) here.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub conformance: Option<PathBuf>,
}
