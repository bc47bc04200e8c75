//! How a scenario is named on the command line so that the command works in any directory.

use std::path::Path;

use super::{dialect, load::Tree, loaded::LoadedScenario};

impl LoadedScenario {
    /// Arguments for `meshproof run` that select this scenario in any directory: its id when it is
    /// built in, else the absolute path of its file, with the dialect if the file has two.
    pub fn again(&self) -> Vec<String> {
        if self.is_built_in() {
            return vec![self.id.clone()];
        }
        let mut args = vec![absolute(&self.file)];
        if self.is_variant() || dialect::variant(self).is_ok_and(|variant| variant.is_some()) {
            args.extend(["-l".to_owned(), format!("dialect={}", self.dialect.name())]);
        }
        args
    }

    /// Whether it is identical, with its configuration, to the scenario of this id in the binary.
    pub fn is_built_in(&self) -> bool {
        if self.tree == Tree::Embedded {
            return true;
        }
        let (stem, _) = dialect::split(&self.id);
        let (file, own) = (format!("{stem}.yaml"), format!("{stem}."));
        let mut files = Tree::Embedded.scan().files;
        files.retain(|path| path.starts_with(&own));
        let folder = stem.rsplit_once('/').map_or("", |(folder, _)| folder);
        let uses = self.scenario.workloads.iter();
        files.extend(uses.map(|workload| format!("{folder}/{}.yaml", workload.template)));
        let same = |path: &String| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let here = self.tree.read(&self.beside_it(name)).ok();
            here.is_some() && here == Tree::Embedded.read(path).ok()
        };
        files.contains(&file) && files.iter().all(same)
    }
}

/// The absolute path; unchanged if it cannot be made absolute.
pub fn absolute(path: &str) -> String {
    let whole = std::path::absolute(Path::new(path));
    whole.map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::scenario::{Suites, load_all};

    fn load(args: &[&Path]) -> Vec<LoadedScenario> {
        let args: Vec<_> = args.iter().map(|word| word.to_path_buf()).collect();
        let tree = Tree::Embedded;
        load_all(&Suites { tree }, &args).expect("loaded").scenarios
    }

    /// A directory `suites/` with the files of one built-in scenario.
    fn copy(of: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Tree::Embedded.scan().files;
        for file in files.iter().filter(|file| file.starts_with(of)) {
            let to = dir.path().join("suites").join(file);
            fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            let text = Tree::Embedded.read(file).expect("read").expect("there");
            fs::write(to, text).expect("written");
        }
        dir
    }

    #[test]
    fn what_is_built_in_is_named_by_its_id() {
        let embedded = load(&[Path::new("routing/canary")]);
        assert!(embedded.iter().all(|one| one.again() == [one.id.clone()]));
        let dir = copy("routing/canary.");
        let copied = load(&[&dir.path().join("suites/routing/canary.yaml")]);
        assert!(!copied.is_empty());
        assert!(copied.iter().all(|one| one.again() == [one.id.clone()]));
    }

    #[test]
    fn what_differs_from_it_is_named_by_its_path_and_dialect() {
        let dir = copy("routing/canary.");
        let config = dir.path().join("suites/routing/canary.istio.yaml");
        let text = fs::read_to_string(&config).expect("read");
        fs::write(&config, format!("{text}\n# changed\n")).expect("written");
        let file = dir.path().join("suites/routing/canary.yaml");
        for one in load(&[&file]) {
            let dialect = format!("dialect={}", one.dialect.name());
            let args = [file.display().to_string(), "-l".to_owned(), dialect];
            assert_eq!(one.again(), args);
        }
    }

    #[test]
    fn a_path_of_the_working_folder_becomes_absolute() {
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(
            absolute("a/b.yaml"),
            here.join("a/b.yaml").display().to_string()
        );
    }
}
