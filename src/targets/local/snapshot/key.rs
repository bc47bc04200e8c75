//! The key of a snapshot: a hash of everything that determines its contents.

use std::{io, path::Path};

use super::archive::digest;
use crate::stamp;

/// Increased when the contents of a snapshot change in a way that no input shows.
const FORMAT: u32 = 1;

/// What a snapshot is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs<'a> {
    /// The set of control-plane programs. Its name is the hash of what they are built from.
    pub programs: Option<&'a Path>,
    /// Folder with the CRDs of Gateway API.
    pub gateway_api: Option<&'a Path>,
    /// Manifests, install values and options, in a fixed order.
    pub manifests: Vec<String>,
}

impl Inputs<'_> {
    /// The key, in hexadecimal.
    ///
    /// # Errors
    /// A folder or this program cannot be read.
    pub fn key(&self) -> io::Result<String> {
        let mut parts = vec![FORMAT.to_string(), env!("CARGO_PKG_VERSION").to_owned()];
        // The code that installs is an input too, and a version has many builds.
        parts.push(stamp::of_this_program()?);
        for folder in [self.programs, self.gateway_api].into_iter().flatten() {
            parts.push(folder.display().to_string());
            let mut files = Vec::new();
            for file in std::fs::read_dir(folder)? {
                let file = file?;
                let name = file.file_name().display().to_string();
                files.push(format!("{name} {}", stamp::of(&file.path())?));
            }
            files.sort();
            parts.push(files.join("\n"));
        }
        parts.extend(self.manifests.iter().cloned());
        Ok(of(&parts))
    }
}

/// Hash of texts, each with its length in front: no two lists of texts look alike.
fn of(parts: &[String]) -> String {
    let text: String = parts
        .iter()
        .map(|part| format!("{}:{part}", part.len()))
        .collect();
    digest(text.as_bytes())[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn the_same_inputs_have_the_same_key_and_others_another() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("program"), "a").unwrap();
        let inputs = Inputs {
            programs: Some(dir.path()),
            gateway_api: None,
            manifests: texts(&["x"]),
        };
        let key = inputs.key().unwrap();
        assert_eq!(inputs.key().unwrap(), key);
        let other = Inputs {
            manifests: texts(&["y"]),
            ..inputs.clone()
        };
        assert_ne!(other.key().unwrap(), key);
        std::fs::write(dir.path().join("program"), "another build").unwrap();
        assert_ne!(inputs.key().unwrap(), key);
    }

    #[test]
    fn texts_are_not_confused_with_their_concatenation() {
        assert_ne!(of(&texts(&["ab", "c"])), of(&texts(&["a", "bc"])));
        assert_ne!(of(&texts(&["a", ""])), of(&texts(&["a"])));
    }

    #[test]
    fn without_a_folder_there_is_no_key() {
        let inputs = Inputs {
            gateway_api: Some(Path::new("/no/such/folder")),
            ..Inputs::default()
        };
        assert!(inputs.key().is_err());
    }
}
