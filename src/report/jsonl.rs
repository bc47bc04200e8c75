//! The event log: one JSON document per line, the durable file that every report is rendered from.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::event::{Event, OLDEST_SCHEMA, SCHEMA};

/// Name of the log in a report directory.
pub const FILE: &str = "events.jsonl";

/// Largest log that is read, in bytes. The largest known run has a hundredth of that.
pub const LARGEST: u64 = 256 << 20;

/// Longest line that is read, in bytes. Even a tenth of that is a page of evidence.
pub const LONGEST: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "can't write the event log {path}; the results on the terminal are valid, but reports can't be rendered from this log"
    )]
    Write { path: PathBuf, source: io::Error },
    #[error("can't read the event log {path}; give the --report-dir of a run")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not a regular file; give the --report-dir of a run")]
    NoFile { path: PathBuf },
    #[error("{path} is too large for an event log: {size} bytes, the maximum is {LARGEST}")]
    TooLarge { path: PathBuf, size: u64 },
    #[error(
        "{path}:{line}: the line is too long for an event: {size} bytes, the maximum is {LONGEST}"
    )]
    TooLong {
        path: PathBuf,
        line: usize,
        size: usize,
    },
    #[error("{path}:{line}: not an event: {source}")]
    Damaged {
        path: PathBuf,
        line: usize,
        source: serde_json::Error,
    },
    #[error(
        "{path}: the first event is not run-started: this is not an event log, or its beginning is missing"
    )]
    NoBeginning { path: PathBuf },
    #[error(
        "{path}: event log of schema {found}; this meshproof reads schemas {OLDEST_SCHEMA} to {SCHEMA}. Use the version of meshproof that wrote it"
    )]
    Schema { path: PathBuf, found: u32 },
}

/// Appends events. After the first failure it writes nothing more, so that the file stays a valid
/// prefix of the log.
#[derive(Debug)]
pub struct LogWriter<W = File> {
    path: PathBuf,
    to: W,
    /// Bytes of complete lines.
    good: u64,
    failed: Option<io::Error>,
}

/// A destination of a log, which can remove an incomplete line again.
pub trait LogTarget: Write {
    /// Truncates to `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl LogTarget for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl LogError {
    /// Returns whether the named file does not exist or is not a log, so that nothing failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::NoFile { .. } => true,
            _ => false,
        }
    }
}

impl<W: LogTarget> LogWriter<W> {
    pub fn new(path: PathBuf, to: W) -> Self {
        Self {
            path,
            to,
            good: 0,
            failed: None,
        }
    }

    /// Writes and flushes one event. A failure is reported by [`Self::finish`]: it must not change
    /// a verdict.
    pub fn write(&mut self, event: &Event) {
        if self.failed.is_some() {
            return;
        }
        let mut line = serde_json::to_vec(event).expect("events are plain data");
        line.push(b'\n');
        match self.to.write_all(&line).and_then(|()| self.to.flush()) {
            Ok(()) => self.good += line.len() as u64,
            Err(error) => {
                // Best effort: readers also accept an incomplete last line.
                let _ = self.to.cut(self.good);
                self.failed = Some(error);
            }
        }
    }

    /// Makes the log durable.
    ///
    /// # Errors
    /// The first failure of any write, or of the final sync.
    pub fn finish(mut self) -> Result<(), LogError> {
        match self.failed.take() {
            None => self.to.sync(),
            Some(error) => Err(error),
        }
        .map_err(|source| LogError::Write {
            path: self.path,
            source,
        })
    }
}

/// A log as read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    pub events: Vec<Event>,
    /// The last line is incomplete (crash, full disk) and was skipped.
    pub torn: bool,
}

/// Reads the log of a report directory.
///
/// # Errors
/// No such file, a damaged line other than the last, a missing beginning, or another schema.
pub fn read(dir: &Path) -> Result<Log, LogError> {
    let path = dir.join(FILE);
    let wrong = |source| LogError::Read {
        path: path.clone(),
        source,
    };
    // Checked before opening: opening a pipe would block.
    let meta = std::fs::metadata(&path).map_err(wrong)?;
    if !meta.is_file() {
        return Err(LogError::NoFile { path });
    }
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(wrong)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    // The file may have grown, or be sparse.
    let size = meta.len().max(bytes.len() as u64);
    match size > LARGEST {
        true => Err(LogError::TooLarge { path, size }),
        false => parse(&path, &bytes),
    }
}

/// Reads as much as possible of a log of any version and in any state; `None` if it is empty.
///
/// # Errors
/// It is not an event log.
pub fn salvage(log: impl BufRead) -> io::Result<Option<Vec<Event>>> {
    let mut lines = log.take(LARGEST).split(b'\n');
    let Some(first) = lines.next().transpose()? else {
        return Ok(None);
    };
    if !first.starts_with(b"{\"at_ms\":") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut events = Vec::new();
    for line in lines {
        events.extend(serde_json::from_slice(&line?).ok());
    }
    Ok(Some(events))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Log, LogError> {
    let path = || path.to_owned();
    let schema = check_beginning(bytes).map_err(|found| match found {
        Some(found) => LogError::Schema {
            path: path(),
            found,
        },
        None => LogError::NoBeginning { path: path() },
    })?;
    let mut events = Vec::new();
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
        .peekable();
    while let Some((index, line)) = lines.next() {
        let last = lines.peek().is_none();
        if line.len() > LONGEST {
            return Err(LogError::TooLong {
                path: path(),
                line: index + 1,
                size: line.len(),
            });
        }
        match serde_json::from_slice(line) {
            Ok(mut event) => {
                Event::upgrade(&mut event, schema);
                events.push(event);
            }
            Err(_) if last => return Ok(Log { events, torn: true }),
            Err(source) => {
                return Err(LogError::Damaged {
                    path: path(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    Ok(Log {
        events,
        torn: false,
    })
}

/// The first line alone determines whether this version can read the rest. `Err(None)`: it is not
/// the beginning of a log.
fn check_beginning(bytes: &[u8]) -> Result<u32, Option<u32>> {
    #[derive(Deserialize)]
    struct Beginning {
        event: String,
        schema: u32,
    }
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    match serde_json::from_slice::<Beginning>(first) {
        Ok(b) if b.event == "run-started" && (OLDEST_SCHEMA..=SCHEMA).contains(&b.schema) => {
            Ok(b.schema)
        }
        Ok(b) if b.event == "run-started" => Err(Some(b.schema)),
        _ => Err(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{EventKind, RunInfo},
        seed::Seed,
    };

    /// A disk with room for `room` bytes.
    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room - self.bytes.len());
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl LogTarget for &mut Disk {
        fn cut(&mut self, len: u64) -> io::Result<()> {
            self.bytes.truncate(usize::try_from(len).expect("small"));
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn beginning(schema: u32) -> Event {
        Event {
            at_ms: 0,
            kind: EventKind::RunStarted(Box::new(RunInfo {
                schema,
                seed: Seed::new(u64::MAX),
                alpha: 1e-6,
                ..RunInfo::default()
            })),
        }
    }

    fn note(text: &str) -> Event {
        Event {
            at_ms: 1,
            kind: EventKind::Note { text: text.into() },
        }
    }

    fn lines(events: &[Event]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for event in events {
            serde_json::to_writer(&mut bytes, event).expect("plain data");
            bytes.push(b'\n');
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let events = [
            beginning(SCHEMA),
            note("line\nbreak \u{1b}[31m ünïcode \u{0}"),
        ];
        let log = crate::report::folder::take(dir.path()).expect("taken");
        let mut writer = LogWriter::new(dir.path().join(FILE), log);
        events.iter().for_each(|event| writer.write(event));
        writer.finish().expect("written");
        assert_eq!(
            read(dir.path()).expect("read"),
            Log {
                events: events.to_vec(),
                torn: false
            }
        );
    }

    #[test]
    fn a_full_disk_is_told_and_leaves_whole_lines() {
        let events = [
            beginning(SCHEMA),
            note("fits"),
            note("does not fit any more"),
            note("x"),
        ];
        let whole = lines(&events[..2]);
        let mut disk = Disk {
            room: whole.len() + 10,
            ..Disk::default()
        };
        let mut writer = LogWriter::new("out/events.jsonl".into(), &mut disk);
        events.iter().for_each(|event| writer.write(event));
        let error = writer.finish().expect_err("the disk was full");
        assert!(error.to_string().contains("out/events.jsonl"), "{error}");
        assert_eq!(disk.bytes, whole);
    }

    #[test]
    fn a_torn_last_line_is_left_out_at_every_length() {
        let events = [beginning(SCHEMA), note("whole"), note("torn")];
        let bytes = lines(&events);
        let whole = lines(&events[..2]).len();
        for cut in whole + 1..bytes.len() - 1 {
            let log = parse(Path::new("x"), &bytes[..cut]).expect("readable");
            assert_eq!(
                log,
                Log {
                    events: events[..2].to_vec(),
                    torn: true
                },
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn damage_in_the_middle_names_the_line() {
        let mut bytes = lines(&[beginning(SCHEMA)]);
        bytes.extend(b"{\"at_ms\":1}\n");
        bytes.extend(lines(&[note("after")]));
        let error = parse(Path::new("dir/events.jsonl"), &bytes).expect_err("damaged");
        assert!(
            error.to_string().starts_with("dir/events.jsonl:2:"),
            "{error}"
        );
    }

    /// Version 1 counted steps from 0.
    #[test]
    fn an_older_log_is_read_as_if_it_were_of_today() {
        let mut bytes = lines(&[beginning(1)]);
        bytes.extend(
            b"{\"at_ms\":1,\"event\":\"step-started\",\"id\":\"a\",\"step\":0,\"what\":\"apply\"}\n",
        );
        let log = parse(Path::new("x"), &bytes).expect("readable");
        let EventKind::StepStarted { step, .. } = log.events[1].kind else {
            panic!("{:?}", log.events);
        };
        assert_eq!(step.to_string(), "1");
        assert_eq!(log.events[0], beginning(SCHEMA));
    }

    /// Version 2 called the minimum time of a scenario `floor_ms`.
    #[test]
    fn a_minimum_time_by_its_old_name_is_read() {
        let mut bytes = lines(&[beginning(2)]);
        bytes.extend(
            br#"{"at_ms":1,"event":"scenario-ended","id":"a","verdict":"PASS","cause":"","wall_ms":9,"floor_ms":5,"samples":{}}"#,
        );
        bytes.push(b'\n');
        let log = parse(Path::new("x"), &bytes).expect("readable");
        let EventKind::ScenarioEnded(end) = &log.events[1].kind else {
            panic!("{:?}", log.events);
        };
        assert_eq!(end.min_ms, 5);
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE);
        std::os::unix::fs::symlink("/dev/zero", &path).expect("linked");
        assert!(matches!(read(dir.path()), Err(LogError::NoFile { .. })));
        std::fs::remove_file(&path).expect("removed");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert!(matches!(read(dir.path()), Err(LogError::NoFile { .. })));
        std::fs::remove_file(&path).expect("removed");
        let hole = File::create(&path).expect("made");
        hole.set_len(LARGEST + 1).expect("a hole");
        assert!(matches!(read(dir.path()), Err(LogError::TooLarge { .. })));
        let missing = read(&dir.path().join("nope")).expect_err("missing");
        assert!(missing.is_usage(), "{missing}");
        let long = lines(&[beginning(SCHEMA), note(&"x".repeat(LONGEST))]);
        let error = parse(Path::new("x"), &long).expect_err("too long");
        assert!(
            matches!(error, LogError::TooLong { line: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn other_schemas_and_other_files_are_refused() {
        let newer = parse(Path::new("x"), &lines(&[beginning(SCHEMA + 1)])).expect_err("newer");
        assert!(matches!(newer, LogError::Schema { found, .. } if found == SCHEMA + 1));
        for bytes in [&b""[..], b"\n", b"hello\n", &lines(&[note("first")])] {
            assert!(matches!(
                parse(Path::new("x"), bytes),
                Err(LogError::NoBeginning { .. })
            ));
        }
    }
}
