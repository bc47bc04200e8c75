//! What a run leaves to the next one on a mesh that stays up: its control namespace, and the
//! namespaces of its pool with their pods. The next run goes on in the earlier one's name: it has
//! the same label, so pods need not be changed.
//!
//! Meanwhile the namespaces are marked as kept, so no other run removes them. Whoever takes the
//! file away owns them: of two runs that begin at the same time, one starts without. A run that is
//! killed leaves no file, and its namespaces are removed like those of any dead run.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde::{Deserialize, Serialize};

use super::namespace::pool::Idle;
use crate::{
    cluster::{namespaces, object::Written, pods, runs},
    event::run_id::RunId,
    stamp,
};

/// What an ended run leaves.
#[derive(Debug, Serialize, Deserialize)]
pub struct WarmPool {
    /// The program that wrote it. Another build may make other objects of the same files.
    program: String,
    /// The label of everything in it.
    pub run: RunId,
    /// The newest epoch that a proxy may show.
    pub epoch: u64,
    /// How many scenarios have run in this name, so that names of namespaces stay unique.
    pub scenarios: usize,
    /// How many namespaces the pool has created.
    pub namespaces: usize,
    /// The control namespace.
    pub control: Written,
    pub idle: Vec<Idle>,
}

impl WarmPool {
    /// # Errors
    /// This program's file cannot be read.
    pub fn new(run: RunId, control: Written, idle: Vec<Idle>) -> io::Result<Self> {
        Ok(Self {
            program: stamp::of_this_program()?,
            run,
            epoch: 0,
            scenarios: 0,
            namespaces: 0,
            control,
            idle,
        })
    }

    fn roots(&self) -> impl Iterator<Item = &Written> {
        let idle = self.idle.iter().map(|idle| &idle.root);
        idle.chain([&self.control])
    }

    /// Marks the namespaces as kept, or no longer.
    ///
    /// # Errors
    /// The API server rejects a request or does not answer.
    pub async fn mark(&self, client: &Client, kept: bool) -> Result<(), kube::Error> {
        let each = self.roots().map(async |root| match kept {
            true => namespaces::keep(client, &root.name).await,
            false => namespaces::no_longer_keep(client, &root.name).await,
        });
        join_all(each).await.into_iter().collect()
    }

    /// Removes all of it. A namespace that cannot be removed stays marked as kept.
    pub async fn remove(&self, client: &Client) {
        let each = self
            .roots()
            .map(async |root| match namespaces::end(client, root).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(namespace = root.name, %error, "a namespace was not removed");
                }
            });
        join_all(each).await;
    }

    /// Whether this program wrote it, and its control server still runs.
    async fn is_usable(&self, client: &Client) -> bool {
        if stamp::of_this_program().ok().as_ref() != Some(&self.program) {
            return false;
        }
        let control: Api<Pod> = Api::namespaced(client.clone(), &runs::control(&self.run));
        let there = control.list(&ListParams::default()).await;
        there.is_ok_and(|pods| pods.items.iter().any(pods::is_ready))
    }
}

/// The file in the state directory of a kept mesh.
#[derive(Debug, Clone)]
pub struct WarmPoolFile(PathBuf);

impl WarmPoolFile {
    /// The file in this directory.
    #[must_use]
    pub fn within(state: &Path) -> Self {
        Self(state.join("warm-pool.json"))
    }

    /// Takes what an earlier run has left. What cannot be used is removed from the mesh.
    pub async fn take(&self, client: &Client) -> Option<WarmPool> {
        let pool = self.claimed()?;
        if pool.is_usable(client).await {
            return Some(pool);
        }
        pool.remove(client).await;
        None
    }

    /// The contents, which nobody else gets any more.
    fn claimed(&self) -> Option<WarmPool> {
        let own = self
            .0
            .with_extension(format!("taken-{}", std::process::id()));
        std::fs::rename(&self.0, &own).ok()?;
        let text = std::fs::read_to_string(&own);
        let _ = std::fs::remove_file(&own);
        let read = text.map_err(|error| error.to_string());
        let read = read.and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()));
        read.inspect_err(|error| tracing::warn!(error, "the last run's pool cannot be read"))
            .ok()
    }

    /// Leaves it to the next run. `false` if another run has left something that nobody has taken
    /// yet.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn leave(&self, pool: &WarmPool) -> io::Result<bool> {
        let dir = self.0.parent().unwrap_or(Path::new("."));
        let own = dir.join(format!("warm-pool.{}.part", std::process::id()));
        let written = std::fs::File::create(&own).and_then(|mut file| {
            serde_json::to_writer(&mut file, pool)?;
            file.flush()
        });
        // A link, unlike a new name, does not replace what is there.
        let linked = written.and_then(|()| std::fs::hard_link(&own, &self.0));
        let _ = std::fs::remove_file(&own);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(control: &str) -> WarmPool {
        let root = |name: &str| Written {
            name: name.to_owned(),
            ..Written::default()
        };
        let mut pool = WarmPool::new(RunId::random(), root(control), vec![Idle::new(root("a"))])
            .expect("this program can be read");
        pool.epoch = 7;
        pool
    }

    #[test]
    fn one_run_takes_what_another_has_left_and_no_third_gets_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = WarmPoolFile::within(dir.path());
        assert!(file.claimed().is_none(), "nothing was left");
        assert!(file.leave(&pool("one")).expect("it is written"));
        assert!(
            !file.leave(&pool("two")).expect("it is written"),
            "the first stays"
        );
        let taken = file.claimed().expect("it is there");
        assert_eq!((taken.control.name.as_str(), taken.epoch), ("one", 7));
        let names: Vec<&str> = taken.roots().map(|root| root.name.as_str()).collect();
        assert_eq!(names, ["a", "one"]);
        assert!(file.claimed().is_none());
        let left = std::fs::read_dir(dir.path()).expect("a folder").count();
        assert_eq!(left, 0, "no file is left");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_pool() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = WarmPoolFile::within(dir.path());
        std::fs::write(dir.path().join("warm-pool.json"), "{\"run\": 1}").expect("a file");
        assert!(file.claimed().is_none());
        assert!(file.leave(&pool("one")).expect("it is written"));
    }
}
