//! Sources of suite files: a folder on disk, or the copy embedded in the binary.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};

use super::file::{self, LoadError};

static SUITES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites");

/// Maximum depth of nested folders.
const MAX_FOLDERS_DEEP: usize = 16;
/// Maximum number of entries in all folders: a suite has hundreds, `/` has millions.
const MAX_ENTRIES: usize = 100_000;
/// Name of the folder that ids are relative to.
pub const SUITES_FOLDER: &str = "suites";
/// Name of the folder of expected failures, at the root of a suite.
pub const KNOWN_FOLDER: &str = "known";

/// Files below one root, by their path with forward slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    Disk(PathBuf),
    Embedded,
}

/// What is below a root.
#[derive(Debug, Default)]
pub struct Scan {
    /// All YAML files (`*.yaml`), sorted.
    pub files: Vec<String>,
    /// Files that end in `.yml`; they are not read.
    pub yml: Vec<String>,
    /// Folders and files that cannot be examined.
    pub problems: Vec<LoadError>,
    entries: usize,
}

/// Identity of a file, independent of how it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Path below the nearest folder `suites`, without the extension; without such a folder, the
    /// file's own folder and its name.
    pub id: String,
    /// The file's path with links resolved: the same for every name of one file.
    pub origin: PathBuf,
    /// Root of its suite: the nearest folder `suites`, else the file's folder or its parent if that
    /// has a folder `known`.
    pub home: Option<Tree>,
}

impl Tree {
    /// Everything below the root.
    pub fn scan(&self) -> Scan {
        let mut scan = Scan::default();
        match self {
            Self::Disk(root) => walk(root, root, 0, &mut scan),
            Self::Embedded => walk_embedded(&SUITES, &mut scan),
        }
        scan.files.sort();
        scan.yml.sort();
        scan
    }

    /// Names of the files in one folder (`""` for the root), sorted.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn names(&self, folder: &str) -> Result<Vec<String>, LoadError> {
        let mut names: Vec<String> = match self {
            Self::Disk(root) => {
                let root = root.join(folder);
                let shown = if root.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    &root
                };
                let entries =
                    std::fs::read_dir(shown).map_err(|error| LoadError::io(shown, error))?;
                let names = entries.take(MAX_ENTRIES).filter_map(Result::ok);
                names
                    .filter_map(|entry| entry.file_name().into_string().ok())
                    .collect()
            }
            Self::Embedded => {
                let folder = SUITES.get_dir(folder);
                let files = folder.into_iter().flat_map(Dir::files);
                files
                    .filter_map(|file| Some(file.path().file_name()?.to_str()?.to_owned()))
                    .collect()
            }
        };
        names.sort();
        Ok(names)
    }

    /// Text of a file without its byte order mark; `None` if it does not exist.
    ///
    /// # Errors
    /// A file that is not a regular file, is too large or is not UTF-8.
    pub fn read(&self, path: &str) -> Result<Option<String>, LoadError> {
        match self {
            Self::Disk(root) => file::read(&root.join(path)),
            Self::Embedded => {
                let file = SUITES.get_file(path);
                Ok(file
                    .and_then(|file| file.contents_utf8())
                    .map(str::to_owned))
            }
        }
    }

    /// The path for display.
    pub fn display(&self, path: &str) -> String {
        match self {
            Self::Disk(root) if root.as_os_str().is_empty() || root == Path::new(".") => {
                path.to_owned()
            }
            Self::Disk(root) => root.join(path).display().to_string(),
            Self::Embedded => format!("{SUITES_FOLDER}/{path}"),
        }
    }

    /// Identity of a file of this tree.
    pub fn identity(&self, path: &str) -> Identity {
        match self {
            Self::Embedded => Identity {
                id: without_ending(path).to_owned(),
                origin: Path::new(SUITES_FOLDER).join(path),
                home: Some(Self::Embedded),
            },
            Self::Disk(root) => identity(&root.join(path)),
        }
    }
}

fn without_ending(path: &str) -> &str {
    path.strip_suffix(".yaml").unwrap_or(path)
}

/// Resolves links to the file's folder; a link that is the file itself keeps its name.
fn identity(path: &Path) -> Identity {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = std::fs::canonicalize(folder)
        .or_else(|_| std::path::absolute(folder))
        .unwrap_or_else(|_| folder.to_owned());
    let origin = folder.join(path.file_name().unwrap_or_default());
    let suites = folder
        .ancestors()
        .find(|above| above.file_name() == Some(OsStr::new(SUITES_FOLDER)));
    let known = || {
        let near = folder.ancestors().take(2);
        near.filter(|above| above.parent().is_some())
            .find(|above| above.join(KNOWN_FOLDER).is_dir())
    };
    let start = suites.or_else(|| folder.parent());
    let inside = start.and_then(|start| origin.strip_prefix(start).ok());
    let inside = inside.unwrap_or(&origin).to_string_lossy().into_owned();
    Identity {
        id: without_ending(&inside).to_owned(),
        home: suites.or_else(known).map(|root| Tree::Disk(near(root))),
        origin,
    }
}

/// The path relative to the current directory, if it is below it.
fn near(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    let inside = here
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    inside.unwrap_or_else(|| path.to_owned())
}

fn walk(root: &Path, folder: &Path, depth: usize, scan: &mut Scan) {
    let shown = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = match std::fs::read_dir(shown) {
        Ok(entries) => entries,
        Err(source) => return scan.problems.push(LoadError::io(shown, source)),
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(source) => return scan.problems.push(LoadError::io(shown, source)),
        };
        scan.entries += 1;
        if scan.entries > MAX_ENTRIES {
            if scan.entries == MAX_ENTRIES + 1 {
                let path = root.to_owned();
                scan.problems.push(LoadError::TooMany { path });
            }
            return;
        }
        // A link may form a cycle; suites have no use for links to folders.
        if path.is_dir() && !path.is_symlink() {
            if depth < MAX_FOLDERS_DEEP {
                walk(root, &path, depth + 1, scan);
            } else {
                scan.problems.push(LoadError::TooDeep { path });
            }
        } else {
            file_found(root, &path, scan);
        }
    }
}

fn file_found(root: &Path, path: &Path, scan: &mut Scan) {
    let ending = path.extension().and_then(OsStr::to_str);
    if !matches!(ending, Some("yaml" | "yml")) {
        return;
    }
    let inside = path.strip_prefix(root).unwrap_or(path);
    match inside.to_str() {
        Some(name) if !name.contains(char::is_control) => {
            let name = name.trim_start_matches("./").to_owned();
            match ending {
                Some("yaml") => scan.files.push(name),
                _ => scan.yml.push(name),
            }
        }
        _ => scan.problems.push(LoadError::Name {
            path: path.to_owned(),
        }),
    }
}

fn walk_embedded(folder: &Dir<'_>, scan: &mut Scan) {
    for file in folder.files() {
        let path = file.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            scan.files.push(path.to_string_lossy().into_owned());
        }
    }
    for inner in folder.dirs() {
        walk_embedded(inner, scan);
    }
}

/// The built-in suites: `suites/` of the current directory, else the embedded copy.
#[derive(Debug, Clone)]
pub struct Suites {
    pub tree: Tree,
}

impl Suites {
    /// Looks for `suites/` in `folder`.
    pub fn open(folder: &Path) -> Self {
        let on_disk = folder.join(SUITES_FOLDER);
        let tree = if on_disk.is_dir() {
            Tree::Disk(if folder == Path::new(".") {
                SUITES_FOLDER.into()
            } else {
                on_disk
            })
        } else {
            Tree::Embedded
        };
        Self { tree }
    }
}

/// What a command-line argument selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectionWord {
    /// A folder: everything in it.
    Folder(Tree),
    /// One file in a tree.
    File(Tree, String),
    /// A pattern over the ids of the built-in suites: an id, a folder of ids, or a glob.
    Ids(String),
}

/// Distinguishes files and folders on disk from ids.
///
/// # Errors
/// A file whose name is not UTF-8 or contains control characters.
pub fn selection(word: &Path) -> Result<SelectionWord, LoadError> {
    if word.is_dir() {
        return Ok(SelectionWord::Folder(Tree::Disk(word.to_owned())));
    }
    let text = word
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    let text = text.ok_or_else(|| LoadError::Name {
        path: word.to_owned(),
    })?;
    if word.exists() {
        let folder = word.parent().map(Path::to_owned).unwrap_or_default();
        let name = word.file_name().and_then(OsStr::to_str).unwrap_or(text);
        return Ok(SelectionWord::File(Tree::Disk(folder), name.to_owned()));
    }
    let pattern = text.trim_start_matches("./").trim_start_matches("suites/");
    let pattern = without_ending(pattern).trim_end_matches('/');
    Ok(SelectionWord::Ids(pattern.to_owned()))
}
