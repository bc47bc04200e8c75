//! Reads archives.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::ArchiveError;

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedImage {
    /// Names with tags.
    pub names: Vec<String>,
    /// The digest of its configuration, which Docker calls the image's id.
    pub id: String,
    /// Digests of its layers, bottom first.
    pub layers: Vec<String>,
}

/// An entry of `docker save`'s `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    /// `null` in archives of images without a name.
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The images of an archive in the format of `docker save`, in its order.
///
/// # Errors
/// The file does not exist or has another format.
pub fn list(path: &Path) -> io::Result<Vec<ListedImage>> {
    let file = File::open(path)?;
    let manifest = read(file, "manifest.json").ok().flatten();
    let entries = manifest.and_then(|text| serde_json::from_slice::<Vec<Entry>>(&text).ok());
    let entries = entries.ok_or_else(|| {
        let message = "not an uncompressed archive from `docker save`";
        io::Error::new(io::ErrorKind::InvalidData, message)
    })?;
    let digest = |member: &str, ending: &str| {
        let name = member.strip_suffix(ending).unwrap_or(member);
        name.trim_start_matches("blobs/sha256/").to_owned()
    };
    let listed = entries.into_iter().map(|entry| ListedImage {
        names: entry.repo_tags.unwrap_or_default(),
        id: digest(&entry.config, ".json"),
        layers: entry
            .layers
            .iter()
            .map(|layer| digest(layer, ".tar"))
            .collect(),
    });
    Ok(listed.collect())
}

/// The contents of a file in the tar archive that an image is based on.
///
/// # Errors
/// The archive cannot be read or has no such file.
pub(super) fn member(
    image: &str,
    archive: &Path,
    name: &'static str,
) -> Result<Vec<u8>, ArchiveError> {
    let found = File::open(archive).and_then(|file| read(file, name));
    let found = found.map_err(|source| ArchiveError::Unreadable {
        image: image.to_owned(),
        path: archive.to_owned(),
        source,
    })?;
    found.ok_or_else(|| ArchiveError::NoMember {
        archive: archive.to_owned(),
        name,
    })
}

/// The contents of a file; `None` if the archive has no file of this name, with or without a
/// leading `./`.
fn read(archive: File, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let path = entry.path()?;
        if path.strip_prefix(".").unwrap_or(&path) == Path::new(name) {
            drop(path);
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents)?;
            return Ok(Some(contents));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
