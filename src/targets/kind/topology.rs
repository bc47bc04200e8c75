//! The nodes of a new cluster.

use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::error::KindError;

const SINGLE: &str = include_str!("../../../kind-config/single.yaml");
const MULTI: &str = include_str!("../../../kind-config/multi.yaml");

/// A kind configuration (kind docs, "Configuration", `kind.x-k8s.io/v1alpha4`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// The configuration in YAML.
    pub text: String,
}

impl Nodes {
    /// `single` (the default), `multi`, or a file.
    ///
    /// # Errors
    /// The file cannot be read or is not a kind configuration.
    pub fn of(given: Option<&str>) -> Result<Self, KindError> {
        let text = match given.unwrap_or("single") {
            "single" => SINGLE.to_owned(),
            "multi" => MULTI.to_owned(),
            path => read(path)?,
        };
        Ok(Self { text })
    }
}

impl Nodes {
    /// The same nodes with a patch to their containerd configuration.
    ///
    /// # Errors
    /// [`KindError::NodesFile`], for a configuration that kind would reject too.
    pub fn patched(&self, patch: &str) -> Result<Self, KindError> {
        let wrong = |why: String| KindError::NodesFile {
            path: PathBuf::from("containerdConfigPatches"),
            why,
        };
        let parsed = serde_yaml::from_str(&self.text);
        let mut config: Value = parsed.map_err(|error| wrong(error.to_string()))?;
        let patches = config.as_mapping_mut().map(|fields| {
            let key = Value::from("containerdConfigPatches");
            fields
                .entry(key)
                .or_insert_with(|| Value::Sequence(Vec::new()))
        });
        match patches {
            Some(Value::Sequence(patches)) => patches.push(Value::from(patch)),
            _ => return Err(wrong("expected a list".to_owned())),
        }
        let text = serde_yaml::to_string(&config);
        Ok(Self {
            text: text.map_err(|error| wrong(error.to_string()))?,
        })
    }
}

fn read(given: &str) -> Result<String, KindError> {
    let text = std::fs::read_to_string(Path::new(given)).map_err(|source| KindError::Nodes {
        given: given.to_owned(),
        source,
    })?;
    let wrong = |why: String| KindError::NodesFile {
        path: PathBuf::from(given),
        why,
    };
    let parsed: Value = serde_yaml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let field = |name: &str| parsed.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = field("apiVersion");
    if field("kind") != "Cluster" || !version.starts_with("kind.x-k8s.io/") {
        let why = "it needs `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`; see kind-config/single.yaml for an example";
        return Err(wrong(why.to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::overrides::SIDE_LABEL;

    #[test]
    fn the_configurations_in_the_repository_are_what_their_names_say() {
        let nodes = |given| {
            let text = Nodes::of(given)
                .expect("the configuration is in the repository")
                .text;
            let parsed: Value = serde_yaml::from_str(&text).expect("the configuration is YAML");
            parsed["nodes"].as_sequence().cloned().unwrap_or_default()
        };
        assert_eq!((nodes(None).len(), nodes(Some("single")).len()), (1, 1));
        let multi = nodes(Some("multi"));
        let sides: Vec<_> = multi
            .iter()
            .filter_map(|node| node["labels"][SIDE_LABEL].as_str())
            .collect();
        assert_eq!(sides, ["caller", "server"]);
    }

    #[test]
    fn a_patch_is_added_to_those_of_the_user() {
        let patches = |nodes: &Nodes| {
            let parsed: Value = serde_yaml::from_str(&nodes.text).unwrap();
            parsed["containerdConfigPatches"].clone()
        };
        let one = Nodes::of(Some("multi")).unwrap().patched("a: 1").unwrap();
        let two = one.patched("b").unwrap();
        assert_eq!(
            patches(&two),
            serde_yaml::from_str::<Value>("['a: 1', b]").unwrap()
        );
        let text = "containerdConfigPatches: x\n".to_owned();
        assert!(Nodes { text }.patched("a").is_err());
    }

    #[rstest::rstest]
    #[case::not_there("/does/not/exist", "neither single nor multi")]
    #[case::another_kind("Cargo.toml", "not a kind configuration")]
    #[case::another_object("fixtures/workloads/greeter.yaml", "not a kind configuration")]
    fn a_file_of_another_kind_is_refused(#[case] given: &str, #[case] part: &str) {
        let error = Nodes::of(Some(given)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
