//! Receives each event once: redacts it, logs it, folds it into the model, prints it. Writes the
//! reports at the end.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use super::{
    annotations,
    console::{Console, Detail, Line},
    folder::{self, FolderError},
    json,
    jsonl::{self, LogError, LogWriter},
    model::Model,
    progress::RunProgress,
    render, summary,
};
use crate::{
    env::Terminal,
    errors::chain,
    event::Event,
    evidence::{
        bundle::{Bundle, WriteError},
        redact::Redactor,
    },
    exit::Exit,
    output::{self, ColorChoice, Format, Palette},
};

/// Where events go.
#[derive(Debug, Clone, Default)]
pub struct SinkOptions {
    /// `None`: no files.
    pub report_dir: Option<PathBuf>,
    /// `Text`: verdicts go to stdout. `Json`: `report.json` goes to stdout at the end, verdicts to
    /// stderr.
    pub format: Format,
    pub color: Option<ColorChoice>,
    pub verbose: bool,
    pub quiet: bool,
    pub redactor: Redactor,
}

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Report(#[from] WriteError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(
        "the report directory {0} is incomplete, so the run counts as an ERROR; free disk space there or set another --report-dir"
    )]
    Incomplete(PathBuf),
    #[error("can't write the result to stdout")]
    Stdout(#[source] io::Error),
    #[error("can't append to GITHUB_STEP_SUMMARY ({path})")]
    StepSummary { path: PathBuf, source: io::Error },
}

/// The result of a run after everything was written.
#[derive(Debug)]
pub struct Finished {
    /// Settled: every scenario has a verdict.
    pub model: Model,
    /// The run's exit code. If reports could not be written, success becomes [`Exit::Error`].
    pub exit: Exit,
    pub errors: Vec<SinkError>,
}

impl Finished {
    /// Prints on stderr what could not be written, and returns the exit code.
    pub fn tell(&self) -> Exit {
        for error in &self.errors {
            output::say(&format!("error: {}", output::clean(&chain(error))));
        }
        self.exit
    }
}

/// The consumer of a run's events.
pub struct Sink {
    options: SinkOptions,
    console: Console,
    log: Option<LogWriter>,
    /// Locks the report directory until the last report is written.
    _lock: Option<File>,
    bundle: Option<Bundle>,
    model: Model,
    progress: Option<RunProgress>,
    /// Destination of verdict lines, if not stdout: tests read them.
    results: Box<dyn Write + Send>,
    stdout_error: Option<io::Error>,
}

impl Sink {
    /// Opens the event log if there is a report directory, and takes over the terminal.
    ///
    /// # Errors
    /// The report directory or the log can't be created: then nothing should be started.
    pub fn open(options: SinkOptions) -> Result<Self, SinkError> {
        let terminal = Terminal::from_env();
        let results: Box<dyn Write + Send> = match options.format {
            Format::Text => Box::new(output::Stdout),
            Format::Json => Box::new(output::Stderr),
        };
        let palette = match options.format {
            Format::Text => Palette::stdout(options.color),
            Format::Json => Palette::stderr(options.color),
        };
        let calm = options.quiet || terminal.ci || terminal.dumb || !io::stderr().is_terminal();
        let mut sink = Self::with(options, palette, results)?;
        sink.progress = (!calm).then(RunProgress::stderr);
        Ok(sink)
    }

    /// Like [`Self::open`], with verdict lines to `results` and no progress line.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn with(
        options: SinkOptions,
        palette: Palette,
        results: Box<dyn Write + Send>,
    ) -> Result<Self, SinkError> {
        let detail = match (options.quiet, options.verbose) {
            (true, _) => Detail::Quiet,
            (_, true) => Detail::Verbose,
            _ => Detail::Normal,
        };
        let locked = options
            .report_dir
            .as_deref()
            .map(|dir| folder::take(dir).map(|file| (dir.join(jsonl::FILE), file)))
            .transpose()?;
        let lock = locked.as_ref().and_then(|(_, log)| log.try_clone().ok());
        let log = locked.map(|(path, log)| LogWriter::new(path, log));
        let bundle = options
            .report_dir
            .as_deref()
            .map(|dir| Bundle::open(dir, options.redactor.clone()))
            .transpose()?;
        Ok(Self {
            console: Console { palette, detail },
            log,
            _lock: lock,
            bundle,
            model: Model::default(),
            progress: None,
            results,
            stdout_error: None,
            options,
        })
    }

    /// Where evidence goes; `None` without a report directory.
    pub fn bundle(&self) -> Option<&Bundle> {
        self.bundle.as_ref()
    }

    /// The run so far.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Handles one event. Never fails: [`Self::finish`] reports what can't be written.
    pub fn event(&mut self, event: &Event) {
        let event = event.redacted(&self.options.redactor);
        if let Some(log) = &mut self.log {
            log.write(&event);
        }
        self.model.apply(&event);
        if let Some(progress) = &mut self.progress {
            progress.apply(&event);
        }
        match self.console.line(&event, &self.model) {
            Some(Line::Result(line)) => self.result(&format!("{line}\n")),
            Some(Line::Progress(line)) => self.show(|_| {
                output::say(&line);
                Ok(())
            }),
            None => {}
        }
    }

    /// Makes the log durable and writes every report. If anything is incomplete, no reports are
    /// written.
    fn write_reports(&mut self) -> Vec<SinkError> {
        let mut errors = Vec::new();
        if let Some(log) = self.log.take() {
            errors.extend(log.finish().err().map(SinkError::from));
        }
        let Some(bundle) = &self.bundle else {
            return errors;
        };
        errors.extend(bundle.lost().map(SinkError::from));
        if errors.is_empty() {
            let written = render::write_all(&self.model, bundle.dir());
            errors.extend(written.err().map(SinkError::from));
        }
        if !errors.is_empty() {
            errors.push(SinkError::Incomplete(bundle.dir().to_owned()));
        }
        errors
    }

    fn result(&mut self, text: &str) {
        self.show(|results| {
            results
                .write_all(text.as_bytes())
                .and_then(|()| results.flush())
        });
    }

    fn show(&mut self, print: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let results = &mut self.results;
        let shown = match &self.progress {
            Some(progress) => progress.suspend(|| print(results)),
            None => print(results),
        };
        if let Err(error) = shown {
            self.stdout_error.get_or_insert(error);
        }
    }

    /// Ends the run: settles what has no verdict, prints the end, makes the log durable and writes
    /// every report.
    pub fn finish(mut self) -> Finished {
        self.model.settle();
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
        let mut errors = self.write_reports();
        self.model.unwritten = errors.first().map(|error| chain(error));
        let report_dir = self.options.report_dir.as_deref();
        let end = self
            .console
            .end(&self.model, report_dir.filter(|_| errors.is_empty()));
        self.result(&end);
        if self.options.format == Format::Json {
            let printed = output::json_text(&json::render(&self.model));
            self.stdout_error = self.stdout_error.or(printed.err());
        }
        errors.extend(self.stdout_error.take().map(SinkError::Stdout));
        if crate::env::github_actions() {
            annotations::render(&self.model)
                .lines()
                .for_each(output::command);
        }
        errors.extend(append_step_summary(&self.model).err());
        let exit = match self.model.exit() {
            Exit::Ok if !errors.is_empty() => Exit::Error,
            exit => exit,
        };
        Finished {
            model: self.model,
            exit,
            errors,
        }
    }
}

/// In a step of GitHub Actions, the summary is shown on the page of the workflow run.
fn append_step_summary(model: &Model) -> Result<(), SinkError> {
    let Some(path) = crate::env::github_step_summary() else {
        return Ok(());
    };
    let page = summary::render(model);
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(summary::for_github(&page).as_bytes()))
        .map_err(|source| SinkError::StepSummary { path, source })
}
