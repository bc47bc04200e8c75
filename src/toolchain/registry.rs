//! A container registry as a program, for machines that cannot pull a registry's image. Built only
//! on request, together with kind.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};

use super::pins::{Component, Recipe, collect, required_version};

/// The Go module of this program.
static MODULE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tools/registry");

const DISTRIBUTION: &str = "github.com/distribution/distribution/v3";

impl Recipe {
    /// The CNCF distribution registry.
    pub fn registry() -> Self {
        let mut files = BTreeMap::new();
        collect(&MODULE, &mut files);
        let go_mod = String::from_utf8_lossy(&files["go.mod"]).into_owned();
        let version = required_version(&go_mod, DISTRIBUTION).unwrap_or_default();
        Self {
            files,
            components: vec![Component {
                name: "registry".to_owned(),
                package: "./cmd/registry".to_owned(),
            }],
            ldflags: format!("-s -w -X {DISTRIBUTION}/version.version={version}"),
            assets: Vec::new(),
            versions: [("registry".to_owned(), version)].into(),
        }
    }
}
