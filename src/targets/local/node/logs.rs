//! Container logs in the format of the container runtime interface: `<time> <stream> <F|P> <line>`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{io::AsyncReadExt, net::unix::pipe};

/// Size at which a log file is rotated; one older file is kept.
const MAX_BYTES: u64 = 10 * 1024 * 1024;
/// Longest piece of a line in one entry; longer lines are split and marked `P` (partial), as
/// container runtimes do.
const MAX_LINE: usize = 16 * 1024;

/// One container's log, shared by its two streams.
#[derive(Debug, Clone)]
pub(super) struct LogFile(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    size: u64,
    cap: u64,
}

impl LogFile {
    /// Creates the file and the directories above it.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::with_cap(path, MAX_BYTES)
    }

    fn with_cap(path: &Path, cap: u64) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let inner = Inner {
            path: path.to_path_buf(),
            file: File::create(path)?,
            size: 0,
            cap,
        };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    fn append(&self, text: &[u8]) -> io::Result<()> {
        let mut inner = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if inner.size > 0 && inner.size + text.len() as u64 > inner.cap {
            fs::rename(&inner.path, inner.path.with_extension("log.1"))?;
            inner.file = File::create(&inner.path)?;
            inner.size = 0;
        }
        inner.size += text.len() as u64;
        inner.file.write_all(text)
    }
}

/// Copies both streams into the log until both end.
pub(super) fn copy(
    streams: [(&'static str, pipe::Receiver); 2],
    log: LogFile,
) -> impl Future<Output = ()> + Send {
    let [out, err] = streams.map(|(name, pipe)| copy_stream(name, pipe, log.clone()));
    async move {
        tokio::join!(out, err);
    }
}

async fn copy_stream(name: &'static str, mut pipe: pipe::Receiver, log: LogFile) {
    let mut lines = Lines::default();
    let mut chunk = vec![0; 32 * 1024];
    loop {
        let read = pipe.read(&mut chunk).await.unwrap_or(0);
        let now = jiff::Timestamp::now();
        let mut text = Vec::new();
        if read == 0 {
            lines.finish(name, now, &mut text);
        } else {
            lines.push(&chunk[..read], name, now, &mut text);
        }
        if let Err(error) = log.append(&text) {
            tracing::warn!(%error, "cannot write a container's log");
        }
        if read == 0 {
            return;
        }
    }
}

/// Cuts a stream of bytes into log entries.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], stream: &str, now: jiff::Timestamp, out: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.last() == Some(&b'\n') {
                self.rest.pop();
                let line = std::mem::take(&mut self.rest);
                let mut parts = line.chunks(MAX_LINE).peekable();
                if parts.peek().is_none() {
                    entry(b"", stream, 'F', now, out);
                }
                while let Some(part) = parts.next() {
                    entry(
                        part,
                        stream,
                        if parts.peek().is_some() { 'P' } else { 'F' },
                        now,
                        out,
                    );
                }
            }
            while self.rest.len() > MAX_LINE {
                let more = self.rest.split_off(MAX_LINE);
                entry(&self.rest, stream, 'P', now, out);
                self.rest = more;
            }
        }
    }

    /// Writes what follows the last newline as a separate entry.
    fn finish(&mut self, stream: &str, now: jiff::Timestamp, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            entry(&self.rest, stream, 'F', now, out);
        }
        self.rest.clear();
    }
}

fn entry(line: &[u8], stream: &str, tag: char, now: jiff::Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{now:.9} {stream} {tag} ").as_bytes());
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// The end of a log without timestamps and tags: at most 80 lines and 2048 bytes (Kubernetes
/// documentation, "Customizing the termination message").
pub(super) fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.splitn(4, ' ').nth(3))
        .collect();
    let message = lines[lines.len().saturating_sub(80)..].join("\n");
    let mut from = message.len().saturating_sub(2048);
    while !message.is_char_boundary(from) {
        from += 1;
    }
    message[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_last_words_are_short_and_plain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut text = Vec::new();
        for number in 0..100 {
            let line = format!("line {number} é");
            entry(
                line.as_bytes(),
                "stderr",
                'F',
                jiff::Timestamp::UNIX_EPOCH,
                &mut text,
            );
        }
        fs::write(&path, text).unwrap();
        let message = last_words(&path);
        assert!(
            message.starts_with("line 20 é\n") && message.ends_with("\nline 99 é"),
            "{message}"
        );
        fs::write(&path, format!("t stdout F {}", "é".repeat(3000))).unwrap();
        assert_eq!(last_words(&path).len(), 2048);
        assert_eq!(last_words(&dir.path().join("none")), "");
    }

    fn entries(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, "stdout", jiff::Timestamp::UNIX_EPOCH, &mut out);
        }
        lines.finish("stdout", jiff::Timestamp::UNIX_EPOCH, &mut out);
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .map(|line| line.split_once(" stdout ").unwrap().1.to_owned())
            .collect()
    }

    #[rstest]
    #[case::one_line(&[b"a\n".as_slice()], &["F a"])]
    #[case::split_over_reads(&[b"a".as_slice(), b"b\nc\n"], &["F ab", "F c"])]
    #[case::empty_line(&[b"\n".as_slice()], &["F "])]
    #[case::no_line_end(&[b"a\nb".as_slice()], &["F a", "F b"])]
    #[case::nothing(&[b"".as_slice()], &[])]
    fn bytes_become_entries(#[case] chunks: &[&[u8]], #[case] expected: &[&str]) {
        assert_eq!(entries(chunks), expected);
    }

    #[test]
    fn a_long_line_is_split_without_loss() {
        let line = [vec![b'x'; 2 * MAX_LINE + 5], b"\n".to_vec()].concat();
        let got = entries(&[&line]);
        let marks: String = got.iter().map(|entry| &entry[..1]).collect();
        assert_eq!(marks, "PPF");
        assert_eq!(
            got.iter().map(|entry| entry.len() - 2).sum::<usize>(),
            2 * MAX_LINE + 5
        );
    }

    #[test]
    fn the_time_has_nanoseconds() {
        let mut out = Vec::new();
        entry(b"x", "stderr", 'F', jiff::Timestamp::UNIX_EPOCH, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1970-01-01T00:00:00.000000000Z stderr F x\n"
        );
    }

    #[test]
    fn a_full_log_is_moved_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c/0.log");
        let log = LogFile::with_cap(&path, 10).unwrap();
        for text in ["12345678", "abcdefgh", "ABCDEFGH"] {
            log.append(text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "ABCDEFGH");
        assert_eq!(
            fs::read_to_string(path.with_extension("log.1")).unwrap(),
            "abcdefgh"
        );
    }
}
