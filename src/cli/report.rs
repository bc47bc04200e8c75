//! `meshproof report`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Report directory of a run (contains `events.jsonl`).
    pub dir: PathBuf,
    /// File for the JSON report.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub json: Option<PathBuf>,
    /// File for the JUnit XML report.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub junit: Option<PathBuf>,
    /// File for the self-contained HTML page.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub html: Option<PathBuf>,
    /// File for the Markdown summary.
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub summary: Option<PathBuf>,
    /// File for the conformance report (YAML).
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub conformance: Option<PathBuf>,
}
