//! Images on the nodes of a kind cluster: they are loaded from archives, never pulled.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    error::{KindError, Unusable},
    program::ContainerTool,
    record::Record,
};
use crate::{
    image,
    text::hex,
    timeouts::timeouts,
    toolchain::{Image, stock},
};

/// meshproof's images and the user's image archives.
#[derive(Debug, Clone)]
pub struct Images {
    pub testbed: PathBuf,
    /// Directory with the third-party clients and servers, if they have been built.
    pub interop: Option<PathBuf>,
    /// Directory with gRPC's Python packages, if the host has Python.
    pub grpcio: Option<PathBuf>,
    pub archives: Vec<PathBuf>,
}

impl Images {
    /// Names of all images that the cluster will have, including `ours`.
    ///
    /// # Errors
    /// [`KindError::Archive`] for an archive that cannot be read.
    pub fn names(&self, ours: &[Image]) -> Result<BTreeSet<String>, KindError> {
        let mut names: BTreeSet<String> = ours.iter().map(|image| image.name.clone()).collect();
        for path in &self.archives {
            let more = tags(path).map_err(|source| KindError::Archive {
                path: path.clone(),
                source,
            })?;
            names.extend(more);
        }
        Ok(names)
    }

    /// meshproof's own images. Without Python on the host, only the grpcio image is missing.
    pub fn ours(&self) -> Vec<Image> {
        let mut images = vec![stock::testbed(&self.testbed)];
        images.extend(self.interop.as_deref().map(stock::interop));
        if let Some(packages) = &self.grpcio {
            match stock::grpcio_alone(packages) {
                Ok(image) => images.push(image),
                Err(error) => tracing::warn!(%error, "cannot build the image of the host's Python"),
            }
        }
        images
    }

    /// Loads the images that these nodes do not have yet. A changed archive is loaded again.
    ///
    /// # Errors
    /// An archive that cannot be written or read, or kind's error.
    pub async fn load(
        &self,
        kind: &ContainerTool,
        record: &mut Record,
        images: Vec<Image>,
        nodes: &[String],
    ) -> Result<(), KindError> {
        let nodes = nodes.join(",");
        let ours = record.file("images.tar");
        let to = ours.clone();
        let written = tokio::task::spawn_blocking(move || image::write_all(&images, &to)).await;
        written.map_err(Unusable::Task)??;
        for path in self.archives.iter().chain([&ours]) {
            let digest = digest(path).map_err(|source| KindError::Archive {
                path: path.clone(),
                source,
            })?;
            if record.loaded.contains(&digest) {
                continue;
            }
            let path = path.display().to_string();
            let args = [
                "load",
                "image-archive",
                &path,
                "--name",
                &record.name,
                "--nodes",
                &nodes,
            ];
            kind.run(&args, timeouts().target.kind_images).await?;
            record.loaded.push(digest);
            record.write()?;
        }
        let _ = fs::remove_file(ours);
        Ok(())
    }
}

/// SHA-256 of a file, in hexadecimal.
fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => {
                return Ok(hex(&hash.finalize()));
            }
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Names of the images in an archive.
fn tags(path: &Path) -> io::Result<Vec<String>> {
    let images = image::list(path)?;
    let names = images.into_iter().flat_map(|image| image.names);
    Ok(names
        .map(|name| name.trim_start_matches("docker.io/").to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_an_archive_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("testbed");
        fs::write(&program, "x").unwrap();
        let archive = dir.path().join("a.tar");
        image::write_all(
            &[stock::testbed(&program), stock::pilot(&program)],
            &archive,
        )
        .unwrap();
        let images = Images {
            testbed: program,
            interop: None,
            grpcio: None,
            archives: vec![archive],
        };
        let names: Vec<String> = images.names(&images.ours()).unwrap().into_iter().collect();
        assert_eq!(names, ["local/pilot:dev", "local/testbed:dev"]);
    }

    #[test]
    fn what_is_no_archive_is_refused_by_name() {
        let images = Images {
            testbed: PathBuf::from("t"),
            interop: None,
            grpcio: None,
            archives: vec![PathBuf::from("Cargo.toml")],
        };
        let error = images.names(&[]).unwrap_err();
        assert_eq!(
            crate::errors::chain(&error),
            "--image-archive Cargo.toml: not an uncompressed archive from `docker save`"
        );
    }
}
