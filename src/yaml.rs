//! The only module that parses YAML. Text from users is bounded before anything is built from it,
//! and every error has a position.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use crate::errors::{Classified, ErrorClass};

/// Largest file, in bytes.
pub const MAX_SIZE: usize = 1 << 20;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// Nodes after all aliases are expanded.
pub const MAX_NODES: usize = 100_000;
/// Bytes of text after all aliases are expanded.
pub const MAX_EXPANDED: usize = 4 * MAX_SIZE;
/// Documents of one stream.
pub const MAX_DOCUMENTS: usize = 1000;
/// Longest key, in bytes. Every node's path contains the keys above it.
pub const MAX_KEY: usize = 1024;
/// Total length of the paths of all nodes, in bytes.
const MAX_PATHS: usize = 32 << 20;
/// YAML's merge key (<https://yaml.org/type/merge.html>): the keys of its maps are added to the map
/// that contains it.
const MERGE: &str = "<<";

/// A position in a text: line and column from 1, offset and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
    pub offset: usize,
    pub length: usize,
}

impl Default for Position {
    fn default() -> Self {
        Self {
            line: 1,
            column: 1,
            offset: 0,
            length: 0,
        }
    }
}

impl Position {
    /// The position of a byte offset in a text.
    pub fn at(text: &str, offset: usize, length: usize) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: text[line_start..offset].chars().count() + 1,
            offset,
            length,
        }
    }
}

/// Text that is not YAML, or does not have the expected form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct YamlError {
    pub position: Position,
    /// Path of the value, e.g. `steps[2].probe`; empty for syntax errors.
    pub path: String,
    pub message: String,
}

impl Classified for YamlError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Input
    }
}

/// The value of a merge key is not a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the value of `<<` must be a map or a list of maps")]
struct NoMap;

/// Where a key or list item is, and its value.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: Option<Short>,
    value: Option<Short>,
}

/// A [`Position`] in a text of at most [`MAX_SIZE`] bytes. A suite has tens of thousands.
#[derive(Debug, Clone, Copy)]
struct Short([u32; 4]);

impl From<Position> for Short {
    fn from(position: Position) -> Self {
        let Position {
            line,
            column,
            offset,
            length,
        } = position;
        Self([line, column, offset, length].map(|number| number.try_into().unwrap_or(u32::MAX)))
    }
}

impl From<Short> for Position {
    fn from(Short(numbers): Short) -> Self {
        let [line, column, offset, length] = numbers.map(|number| number as usize);
        Self {
            line,
            column,
            offset,
            length,
        }
    }
}

/// Positions of all keys and list items of one document by path (`probes.p.expect`, `steps[0]`).
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    places: BTreeMap<Box<str>, Place>,
    start: Position,
    /// The first merge key.
    merge: Option<Position>,
}

impl SourceMap {
    /// Position of the key (or list item), or of its nearest parent if the path does not exist.
    pub fn key(&self, path: &str) -> Position {
        let mut path = path;
        loop {
            let place = self.places.get(path).and_then(|place| place.key);
            if let Some(position) = place {
                return position.into();
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return self.start,
            }
        }
    }

    /// Position of the value.
    pub fn value(&self, path: &str) -> Position {
        let place = self.places.get(path).and_then(|place| place.value);
        place.map_or_else(|| self.key(path), Position::from)
    }

    pub fn has(&self, path: &str) -> bool {
        let place = self.places.get(path);
        place.is_some_and(|place| place.key.is_some())
    }

    fn set_key(&mut self, path: &str, position: Position) {
        self.places.entry(path.into()).or_default().key = Some(position.into());
    }

    fn set_value(&mut self, path: &str, position: Position) {
        self.places.entry(path.into()).or_default().value = Some(position.into());
    }

    /// First line of the document's content.
    pub fn line(&self) -> usize {
        self.start.line
    }
}

/// One document of a stream.
#[derive(Debug, Clone)]
pub struct YamlDocument {
    pub value: Value,
    pub places: SourceMap,
}

/// Parses a text with exactly one document into a type. Enum variants with data are written as a
/// map with one key.
///
/// # Errors
/// A syntax error, an exceeded limit, a duplicate key, a merge key, a second document, or a value
/// that does not fit the type, with its path.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<(T, SourceMap), YamlError> {
    let text = unmarked(text);
    let mut all = places(text)?;
    if all.len() > 1 {
        return Err(error(
            all[1].start,
            "expected one document, but a second begins here",
        ));
    }
    let Some(places) = all.pop() else {
        return Err(error(Position::default(), "the file is empty"));
    };
    if let Some(position) = places.merge {
        let message = "`<<` is supported in manifests only: write out the keys";
        return Err(error(position, message));
    }
    let mut track = serde_path_to_error::Track::new();
    let reader = serde_yaml::Deserializer::from_str(text);
    let reader = serde_path_to_error::Deserializer::new(reader, &mut track);
    let read = serde_yaml::with::singleton_map_recursive::deserialize(reader);
    match read {
        Ok(value) => Ok((value, places)),
        Err(reason) => {
            let path = track.path().to_string();
            Err(typed(&path, &reason, &places))
        }
    }
}

/// A text without its byte order mark.
pub fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Parses a stream of documents; empty ones are dropped, merge keys (`<<`) are resolved.
///
/// # Errors
/// A syntax error, an exceeded limit or a duplicate key, with its position in the whole file.
pub fn documents(text: &str) -> Result<Vec<YamlDocument>, YamlError> {
    let text = unmarked(text);
    let all = places(text)?;
    let values = serde_yaml::Deserializer::from_str(text);
    let mut found = Vec::new();
    for (reader, places) in values.zip(all) {
        let read: Result<Value, _> = serde::Deserialize::deserialize(reader);
        let mut value = read.map_err(|reason| typed(".", &reason, &places))?;
        if let Some(position) = places.merge {
            merge(&mut value).map_err(|no_map| error(position, no_map.to_string()))?;
        }
        if !value.is_null() {
            found.push(YamlDocument { value, places });
        }
    }
    Ok(found)
}

/// Replaces every merge key by the keys that it adds; keys of the map itself take precedence, then
/// the first of several maps.
fn merge(value: &mut Value) -> Result<(), NoMap> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(merge),
        Value::Object(map) => {
            map.values_mut().try_for_each(merge)?;
            let below = match map.remove(MERGE) {
                None => return Ok(()),
                Some(Value::Array(all)) => all,
                Some(one) => vec![one],
            };
            for one in below {
                let Value::Object(one) = one else {
                    return Err(NoMap);
                };
                for (key, value) in one {
                    map.entry(key).or_insert(value);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn typed(path: &str, reason: &serde_yaml::Error, places: &SourceMap) -> YamlError {
    let path = path.trim_start_matches('.').replace(".?", "");
    let text = reason.to_string();
    let message = without_position(&text, &path);
    let unknown = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"));
    let name = unknown.and_then(|rest| rest.split('`').next());
    let position = match name {
        // The path may include the unknown key or end above it.
        Some(name) => {
            let below = format!("{path}.{name}");
            let below = below.trim_start_matches('.');
            places.key(if places.has(below) { below } else { &path })
        }
        None => places.value(&path),
    };
    YamlError {
        position,
        path,
        message,
    }
}

/// Strips path and position from serde_yaml's `path: message at line 3 column 4`.
fn without_position(text: &str, path: &str) -> String {
    let message = text.rsplit_once(" at line ").map_or(text, |(head, _)| head);
    let message = message
        .strip_prefix(path)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(message);
    let known = ["unknown ", "missing ", "invalid ", "duplicate "];
    let start = known.iter().filter_map(|word| message.find(word)).min();
    message[start.unwrap_or(0)..].to_owned()
}

fn error(position: Position, message: impl Into<String>) -> YamlError {
    YamlError {
        position,
        path: String::new(),
        message: message.into(),
    }
}

/// Positions in every document, within the limits.
///
/// # Errors
/// Syntax errors and exceeded limits.
pub fn places(text: &str) -> Result<Vec<SourceMap>, YamlError> {
    let text = unmarked(text);
    if text.len() > MAX_SIZE {
        let message = format!("the file has {} bytes; the limit is {MAX_SIZE}", text.len());
        return Err(error(Position::default(), message));
    }
    let mut walk = Walk::new(text);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|reason| {
            let position = walk.position(*reason.marker(), None);
            error(position, reason.info().to_owned())
        })?;
        walk.event(&event, span)?;
    }
    Ok(walk.documents)
}

/// Size of an anchored node, or of an open list or map, after alias expansion.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    /// Of all scalars.
    bytes: usize,
    /// Nesting of lists and maps.
    depth: usize,
}

/// One open list or map.
struct Level {
    path: String,
    /// Items so far, for a list.
    index: Option<usize>,
    /// Path of the key whose value comes next, for a map.
    key: Option<String>,
    /// Lines of the keys so far, for a map.
    keys: HashMap<String, usize>,
    /// Size of everything read before it.
    before: Size,
    /// Depth of its content.
    depth: usize,
    anchor: usize,
}

struct Walk<'t> {
    text: &'t str,
    /// Byte offset of each character.
    offsets: Vec<usize>,
    /// Byte offset of each line's end.
    ends: Vec<usize>,
    documents: Vec<SourceMap>,
    levels: Vec<Level>,
    anchors: BTreeMap<usize, Size>,
    /// Nodes and bytes of the whole text so far.
    read: Size,
    /// Bytes of all paths.
    paths: usize,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            offsets: text.char_indices().map(|(at, _)| at).collect(),
            ends: text.match_indices('\n').map(|(at, _)| at).collect(),
            documents: Vec::new(),
            levels: Vec::new(),
            anchors: BTreeMap::new(),
            read: Size::default(),
            paths: 0,
        }
    }

    fn position(&self, start: Marker, end: Option<Marker>) -> Position {
        let byte = |marker: Marker| {
            let at = self.offsets.get(marker.index());
            at.copied().unwrap_or(self.text.len())
        };
        let offset = byte(start);
        let line = self.ends.partition_point(|end| *end < offset);
        let line_end = self.ends.get(line).copied().unwrap_or(self.text.len());
        let end = end.map_or(offset, byte).min(line_end);
        Position {
            line: start.line(),
            column: start.col() + 1,
            offset,
            length: end.saturating_sub(offset),
        }
    }

    fn event(&mut self, event: &Event<'_>, span: Span) -> Result<(), YamlError> {
        let position = self.position(span.start, Some(span.end));
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                if self.documents.len() == MAX_DOCUMENTS {
                    let message = format!("more than {MAX_DOCUMENTS} documents");
                    return Err(error(position, message));
                }
                self.documents.push(SourceMap {
                    start: position,
                    ..SourceMap::default()
                });
            }
            Event::Scalar(text, style, anchor, _) => {
                let size = Size {
                    nodes: 1,
                    bytes: text.len(),
                    depth: 0,
                };
                let plain = *style == ScalarStyle::Plain;
                self.node(position, size, Some((text.as_ref(), plain)))?;
                self.anchors.insert(*anchor, size);
            }
            Event::Alias(anchor) => {
                let Some(size) = self.anchors.get(anchor).copied() else {
                    return Err(error(
                        position,
                        "an alias is inside the node that it refers to",
                    ));
                };
                self.node(position, size, None)?;
                self.deepen(position, size.depth)?;
            }
            Event::SequenceStart(anchor, _) => self.open(position, Some(0), *anchor)?,
            Event::MappingStart(anchor, _) => self.open(position, None, *anchor)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn open(
        &mut self,
        position: Position,
        index: Option<usize>,
        anchor: usize,
    ) -> Result<(), YamlError> {
        let before = self.read;
        let size = Size {
            nodes: 1,
            ..Size::default()
        };
        let path = self.node(position, size, None)?;
        self.deepen(position, 1)?;
        self.levels.push(Level {
            path,
            index,
            key: None,
            keys: HashMap::new(),
            before,
            depth: 0,
            anchor,
        });
        Ok(())
    }

    /// Adds content of this depth to the innermost open list or map.
    fn deepen(&mut self, position: Position, depth: usize) -> Result<(), YamlError> {
        if self.levels.len() + depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(error(position, message));
        }
        if let Some(level) = self.levels.last_mut() {
            level.depth = level.depth.max(depth);
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(level) = self.levels.pop() else {
            return;
        };
        let depth = level.depth + 1;
        if let Some(above) = self.levels.last_mut() {
            above.depth = above.depth.max(depth);
        }
        if level.anchor > 0 {
            let size = Size {
                nodes: self.read.nodes - level.before.nodes,
                bytes: self.read.bytes - level.before.bytes,
                depth,
            };
            self.anchors.insert(level.anchor, size);
        }
    }

    /// Counts what was read and checks it against the limits.
    fn count(&mut self, position: Position, size: Size) -> Result<(), YamlError> {
        self.read.nodes = self.read.nodes.saturating_add(size.nodes);
        self.read.bytes = self.read.bytes.saturating_add(size.bytes);
        let message = if self.read.nodes > MAX_NODES {
            format!("more than {MAX_NODES} nodes once aliases are expanded")
        } else if self.read.bytes > MAX_EXPANDED {
            format!("more than {MAX_EXPANDED} bytes once aliases are expanded")
        } else if self.paths > MAX_PATHS {
            "long keys with too many nested values".to_owned()
        } else {
            return Ok(());
        };
        Err(error(position, message))
    }

    /// Counts a node, records its position, and returns its path. `scalar`: its text, and whether
    /// it is unquoted.
    fn node(
        &mut self,
        position: Position,
        size: Size,
        scalar: Option<(&str, bool)>,
    ) -> Result<String, YamlError> {
        self.count(position, size)?;
        let Some(document) = self.documents.last_mut() else {
            return Ok(String::new());
        };
        let Some(level) = self.levels.last_mut() else {
            document.start = position;
            return Ok(String::new());
        };
        let path = if let Some(index) = &mut level.index {
            let path = format!("{}[{index}]", level.path);
            *index += 1;
            document.set_key(&path, position);
            document.set_value(&path, position);
            path
        } else if let Some(path) = level.key.take() {
            document.set_value(&path, position);
            path
        } else {
            let path = level.begin(position, scalar)?;
            if scalar == Some((MERGE, true)) {
                document.merge.get_or_insert(position);
            }
            document.set_key(&path, position);
            path
        };
        self.paths += 2 * path.len();
        Ok(path)
    }
}

impl Level {
    /// Starts a key: it must be a scalar, not too long, and new in this map. Returns its path.
    fn begin(
        &mut self,
        position: Position,
        key: Option<(&str, bool)>,
    ) -> Result<String, YamlError> {
        let Some((key, _)) = key else {
            return Err(error(
                position,
                "a key must be a scalar, not a list, a map or an alias",
            ));
        };
        if key.len() > MAX_KEY {
            let message = format!("a key of {} bytes; the limit is {MAX_KEY}", key.len());
            return Err(error(position, message));
        }
        if let Some(line) = self.keys.insert(key.to_owned(), position.line) {
            let message = format!("duplicate key '{key}': already used on line {line}");
            return Err(error(position, message));
        }
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{key}", self.path);
        self.key = Some(path.clone());
        Ok(path)
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
