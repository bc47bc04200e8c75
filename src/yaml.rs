//! The only place that reads YAML. Text from users is bounded before anything is built from it, and every error has a place.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, Span};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// Largest file, in bytes.
pub const MAX_SIZE: usize = 1 << 20;
/// Deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// Nodes after every alias is replaced by what it stands for.
pub const MAX_NODES: usize = 100_000;

/// Where something stands: line and column from 1, offset and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub offset: usize,
    pub length: usize,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            line: 1,
            column: 1,
            offset: 0,
            length: 0,
        }
    }
}

impl Place {
    /// The place of a byte offset in a text.
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

/// Text that is no YAML, or not the YAML that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct YamlError {
    pub place: Place,
    /// Path of the value, e.g. `steps[2].probe`; empty for syntax errors.
    pub path: String,
    pub message: String,
}

/// Places of all keys and list items of one document by path (`probes.p.expect`, `steps[0]`).
#[derive(Debug, Clone, Default)]
pub struct Places {
    keys: BTreeMap<String, Place>,
    values: BTreeMap<String, Place>,
    start: Place,
}

impl Places {
    /// Place of the key (or list item); of the nearest enclosing one when the path itself is not there.
    pub fn key(&self, path: &str) -> Place {
        self.nearest(&self.keys, path)
    }

    /// Place of the value.
    pub fn value(&self, path: &str) -> Place {
        self.values
            .get(path)
            .copied()
            .unwrap_or_else(|| self.key(path))
    }

    pub fn has(&self, path: &str) -> bool {
        self.keys.contains_key(path)
    }

    /// First line of the document's content.
    pub fn line(&self) -> usize {
        self.start.line
    }

    fn nearest(&self, places: &BTreeMap<String, Place>, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = places.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return self.start,
            }
        }
    }
}

/// One document of a stream.
#[derive(Debug, Clone)]
pub struct Document {
    pub value: Value,
    pub places: Places,
}

/// Reads a text with exactly one document into a type. Enum variants with data are written as a map with one key.
///
/// # Errors
/// Syntax, limits, a second document, or a value that does not fit the type: then with the path to it.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<(T, Places), YamlError> {
    let mut all = places(text)?;
    if all.len() > 1 {
        return Err(error(
            all[1].start,
            "one document is wanted, a second begins here",
        ));
    }
    let Some(places) = all.pop() else {
        return Err(error(Place::default(), "the file is empty"));
    };
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

/// Splits a stream of documents; empty ones are left out.
///
/// # Errors
/// Syntax and limits, at the place in the whole file.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    let all = places(text)?;
    let values = serde_yaml::Deserializer::from_str(text);
    let mut found = Vec::new();
    for (reader, places) in values.zip(all) {
        let read: Result<Value, _> = serde::Deserialize::deserialize(reader);
        let value = read.map_err(|reason| typed(".", &reason, &places))?;
        if !value.is_null() {
            found.push(Document { value, places });
        }
    }
    Ok(found)
}

fn typed(path: &str, reason: &serde_yaml::Error, places: &Places) -> YamlError {
    let path = path.trim_start_matches('.').replace(".?", "");
    let text = reason.to_string();
    let message = without_position(&text, &path);
    let unknown = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"));
    let name = unknown.and_then(|rest| rest.split('`').next());
    let place = match name {
        // The reader may name the unknown key in the path or stop above it.
        Some(name) => {
            let below = format!("{path}.{name}");
            let below = below.trim_start_matches('.');
            places.key(if places.has(below) { below } else { &path })
        }
        None => places.value(&path),
    };
    YamlError {
        place,
        path,
        message,
    }
}

/// The crate writes `path: message at line 3 column 4`; place and path are told apart here.
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

fn error(place: Place, message: impl Into<String>) -> YamlError {
    YamlError {
        place,
        path: String::new(),
        message: message.into(),
    }
}

/// Places of every document, within the limits.
///
/// # Errors
/// Syntax errors and exceeded limits.
pub fn places(text: &str) -> Result<Vec<Places>, YamlError> {
    if text.len() > MAX_SIZE {
        let words = format!(
            "the file has {} bytes, at most {MAX_SIZE} are read",
            text.len()
        );
        return Err(error(Place::default(), words));
    }
    let mut walk = Walk::new(text);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|reason| {
            let place = walk.place(*reason.marker(), None);
            error(place, reason.info().to_owned())
        })?;
        walk.event(&event, span)?;
    }
    Ok(walk.documents)
}

/// One open list or map.
struct Level {
    path: String,
    /// Items so far, for a list.
    index: Option<usize>,
    /// Key that waits for its value, for a map.
    key: Option<String>,
    nodes: usize,
    anchor: usize,
}

struct Walk<'t> {
    text: &'t str,
    /// Byte offset of each character.
    offsets: Vec<usize>,
    documents: Vec<Places>,
    levels: Vec<Level>,
    anchors: BTreeMap<usize, usize>,
    nodes: usize,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            offsets: text.char_indices().map(|(at, _)| at).collect(),
            documents: Vec::new(),
            levels: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
        }
    }

    fn place(&self, start: Marker, end: Option<Marker>) -> Place {
        let byte = |marker: Marker| {
            let at = self.offsets.get(marker.index());
            at.copied().unwrap_or(self.text.len())
        };
        let offset = byte(start);
        let line_end = self.text[offset..]
            .find('\n')
            .map_or(self.text.len(), |n| offset + n);
        let end = end.map_or(offset, byte).min(line_end);
        Place {
            line: start.line(),
            column: start.col() + 1,
            offset,
            length: end.saturating_sub(offset),
        }
    }

    fn event(&mut self, event: &Event<'_>, span: Span) -> Result<(), YamlError> {
        let place = self.place(span.start, Some(span.end));
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.documents.push(Places {
                    start: place,
                    ..Places::default()
                });
            }
            Event::Scalar(text, _, anchor, _) => {
                self.node(place, 1, Some(text))?;
                self.anchors.insert(*anchor, 1);
            }
            Event::Alias(anchor) => {
                let Some(size) = self.anchors.get(anchor).copied() else {
                    return Err(error(place, "an alias stands inside of what it stands for"));
                };
                self.node(place, size, None)?;
            }
            Event::SequenceStart(anchor, _) => self.open(place, Some(0), *anchor)?,
            Event::MappingStart(anchor, _) => self.open(place, None, *anchor)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, place: Place, index: Option<usize>, anchor: usize) -> Result<(), YamlError> {
        let path = self.node(place, 1, None)?;
        if self.levels.len() >= MAX_DEPTH {
            let words = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(error(place, words));
        }
        self.levels.push(Level {
            path,
            index,
            key: None,
            nodes: self.nodes,
            anchor,
        });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(level) = self.levels.pop()
            && level.anchor > 0
        {
            self.anchors
                .insert(level.anchor, self.nodes - level.nodes + 1);
        }
    }

    /// Counts a node, records its place, and returns its path.
    fn node(
        &mut self,
        place: Place,
        size: usize,
        scalar: Option<&str>,
    ) -> Result<String, YamlError> {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > MAX_NODES {
            let words = format!("more than {MAX_NODES} nodes once aliases are replaced");
            return Err(error(place, words));
        }
        let Some(document) = self.documents.last_mut() else {
            return Ok(String::new());
        };
        let Some(level) = self.levels.last_mut() else {
            document.start = place;
            return Ok(String::new());
        };
        if let Some(index) = &mut level.index {
            let path = format!("{}[{index}]", level.path);
            *index += 1;
            document.keys.insert(path.clone(), place);
            document.values.insert(path.clone(), place);
            return Ok(path);
        }
        match level.key.take() {
            None => {
                let key = scalar.unwrap_or("?");
                let dot = if level.path.is_empty() { "" } else { "." };
                let path = format!("{}{dot}{key}", level.path);
                document.keys.insert(path.clone(), place);
                level.key = Some(path.clone());
                Ok(path)
            }
            Some(path) => {
                document.values.insert(path.clone(), place);
                Ok(path)
            }
        }
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
