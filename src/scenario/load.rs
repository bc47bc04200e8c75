//! Where suite files come from: a folder on disk, or the copy inside the binary.

use std::{
    io,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};
use thiserror::Error;

use crate::yaml::MAX_SIZE;

static SUITES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites");

/// A folder that cannot be read.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("cannot read {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "'{0}' is neither a file, a folder, nor the id of a scenario: `meshproof list` shows the ids"
    )]
    Nothing(String),
    #[error("{path} has {size} bytes; suite files may have {MAX_SIZE}")]
    TooLarge { path: PathBuf, size: u64 },
}

/// Files below one root, by their path with forward slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    Disk(PathBuf),
    Embedded,
}

impl Tree {
    /// All YAML files, sorted.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn files(&self) -> Result<Vec<String>, LoadError> {
        let mut found = Vec::new();
        match self {
            Self::Disk(root) => walk(root, root, &mut found)?,
            Self::Embedded => walk_embedded(&SUITES, &mut found),
        }
        found.sort();
        Ok(found)
    }

    /// Text of a file; `None` when it is not there.
    ///
    /// # Errors
    /// A file that is there but is too large or cannot be read as UTF-8.
    pub fn read(&self, path: &str) -> Result<Option<String>, LoadError> {
        match self {
            Self::Disk(root) => read(&root.join(path)),
            Self::Embedded => {
                let file = SUITES.get_file(path);
                Ok(file
                    .and_then(|file| file.contents_utf8())
                    .map(str::to_owned))
            }
        }
    }

    /// The path as a person finds it.
    pub fn display(&self, path: &str) -> String {
        match self {
            Self::Disk(root) if root.as_os_str().is_empty() => path.to_owned(),
            Self::Disk(root) => root.join(path).display().to_string(),
            Self::Embedded => format!("suites/{path}"),
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, LoadError> {
    let wrap = |source| LoadError::Io {
        path: path.to_owned(),
        source,
    };
    let size = match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrap(error)),
    };
    if size > MAX_SIZE as u64 {
        return Err(LoadError::TooLarge {
            path: path.to_owned(),
            size,
        });
    }
    std::fs::read_to_string(path).map(Some).map_err(wrap)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<(), LoadError> {
    let wrap = |source| LoadError::Io {
        path: folder.to_owned(),
        source,
    };
    let shown = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    for entry in std::fs::read_dir(shown).map_err(wrap)? {
        let path = entry.map_err(wrap)?.path();
        // A link may lead in a circle; suites have no use for links to folders.
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            let inside = path.strip_prefix(root).unwrap_or(&path);
            found.push(
                inside
                    .to_string_lossy()
                    .trim_start_matches("./")
                    .replace('\\', "/"),
            );
        }
    }
    Ok(())
}

fn walk_embedded(folder: &Dir<'_>, found: &mut Vec<String>) {
    for file in folder.files() {
        if file
            .path()
            .extension()
            .is_some_and(|ending| ending == "yaml")
        {
            found.push(file.path().to_string_lossy().into_owned());
        }
    }
    for inner in folder.dirs() {
        walk_embedded(inner, found);
    }
}

/// The built-in suites: `suites/` of the current folder, else the embedded copy.
#[derive(Debug, Clone)]
pub struct Suites {
    pub tree: Tree,
}

impl Suites {
    /// Looks for `suites/` in `folder`.
    pub fn open(folder: &Path) -> Self {
        let on_disk = folder.join("suites");
        let tree = if on_disk.is_dir() {
            Tree::Disk(if folder == Path::new(".") {
                "suites".into()
            } else {
                on_disk
            })
        } else {
            Tree::Embedded
        };
        Self { tree }
    }
}

/// What a word on the command line stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// A folder of the user's own.
    Folder(Tree),
    /// One file in a tree.
    File(Tree, String),
    /// A pattern over the ids of the built-in suites: an id, a folder of ids, or a glob.
    Ids(String),
}

/// Tells files and folders on disk from ids; a path below a `suites` folder keeps its id from there.
pub fn selection(word: &Path) -> Selection {
    let text = word.to_string_lossy();
    let (root, inside) = split_at_suites(word);
    if word.is_file() {
        return Selection::File(Tree::Disk(root), inside);
    }
    if word.is_dir() {
        return if inside.is_empty() || root.as_os_str().is_empty() {
            Selection::Folder(Tree::Disk(word.to_owned()))
        } else {
            Selection::File(Tree::Disk(root), format!("{inside}/"))
        };
    }
    let pattern = text.trim_start_matches("./").trim_start_matches("suites/");
    Selection::Ids(pattern.trim_end_matches(".yaml").to_owned())
}

/// `a/suites/b/c.yaml` → (`a/suites`, `b/c.yaml`); without such a folder the root is the file's own folder's parent.
fn split_at_suites(path: &Path) -> (PathBuf, String) {
    let parts: Vec<_> = path.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == "suites");
    let (root, rest) = match at {
        Some(at) => parts.split_at(at + 1),
        None => parts.split_at(parts.len().saturating_sub(1)),
    };
    let inside: PathBuf = rest.iter().collect();
    (root.iter().collect(), inside.to_string_lossy().into_owned())
}
