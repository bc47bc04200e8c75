//! The user's kubeconfig. No server is asked.

use std::path::PathBuf;

use kube::config::Kubeconfig;

use super::machine::machine;
use crate::{
    doctor::cluster::{Cluster, Contexts},
    output::chain,
};

pub fn cluster(context: Option<String>) -> Cluster {
    let files: Vec<(PathBuf, bool)> = files()
        .into_iter()
        .map(|path| {
            let there = path.is_file();
            (path, there)
        })
        .collect();
    Cluster {
        machine: machine(),
        config: contexts(&files),
        files,
        context,
    }
}

/// As kubectl looks for them: the list in `KUBECONFIG`, else `~/.kube/config`.
fn files() -> Vec<PathBuf> {
    match std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        Some(list) => std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => std::env::var_os("HOME")
            .map(|home| PathBuf::from(home).join(".kube/config"))
            .into_iter()
            .collect(),
    }
}

fn contexts(files: &[(PathBuf, bool)]) -> Result<Contexts, String> {
    let mut all = Kubeconfig::default();
    for (path, _) in files.iter().filter(|(_, there)| *there) {
        let words = |error| format!("{}: {}", path.display(), chain(&error));
        let one = Kubeconfig::read_from(path).map_err(words)?;
        all = all.merge(one).map_err(words)?;
    }
    Ok(Contexts {
        names: all.contexts.into_iter().map(|named| named.name).collect(),
        current: all.current_context.filter(|name| !name.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[test]
    fn files_are_read_together() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            (path, true)
        };
        let config = |name: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: {name}\ncontexts:\n- name: {name}\n  context: {{cluster: x, user: y}}\n"
            )
        };
        let mut files = vec![file("a", &config("one")), file("b", &config("two"))];
        files.push((dir.path().join("absent"), false));
        let contexts = super::contexts(&files).unwrap();
        assert_eq!(contexts.names, ["one", "two"]);
        assert_eq!(contexts.current.as_deref(), Some("one"));
        let words = super::contexts(&[file("c", "contexts: [")]).unwrap_err();
        assert!(words.contains("/c: "), "{words}");
    }
}
