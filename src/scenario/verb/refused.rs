//! `refused`: configuration that must not be taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Fate, File, Limit, Verb};

/// Configuration that must not be taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Refused {
    /// `<behaviour>.<name>.yaml`; every object in it must be refused. A proxy refuses what it is
    /// sent, not single objects.
    pub apply: String,
    pub by: RefusedBy,
    /// Words that the refusal must hold.
    #[serde(default)]
    pub says: Option<String>,
}

/// Who refuses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedBy {
    /// The API server serves no such kind: the group, the version or the kind is wrong, or its CRD
    /// is not installed.
    UnknownKind,
    /// The kind's schema.
    Schema,
    /// The mesh's validation webhook.
    Webhook,
    /// A proxy, to which the mesh sent what it had taken (NACK).
    Proxy,
}

impl RefusedBy {
    /// For messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::UnknownKind => "the API server knows no such kind",
            Self::Schema => "the kind's schema",
            Self::Webhook => "the mesh's validation webhook",
            Self::Proxy => "a proxy",
        }
    }
}

impl Verb for Refused {
    const NAME: &'static str = "refused";
    const DOC: &'static str = "Apply a file that must be refused.";
    const FORM: &'static str = "`refused: {apply, by, says}`";
    const DOES: &'static str = "applies a file of which every object must be refused, by `unknown-kind` (the API server), `schema` or `webhook` (the mesh's validation), perhaps with these words; `by: proxy`: the mesh takes it and a proxy refuses it (NACK), then it is taken away again";

    fn words(&self) -> String {
        format!(
            "apply {}, which must be refused by {}",
            self.apply,
            self.by.words()
        )
    }

    fn file(&self) -> Option<File<'_>> {
        Some(File {
            field: "apply",
            name: &self.apply,
            fate: match self.by {
                RefusedBy::UnknownKind => Fate::UnknownKind,
                RefusedBy::Schema | RefusedBy::Webhook => Fate::Refused,
                RefusedBy::Proxy => Fate::RefusedByProxy,
            },
        })
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::File("apply", &self.apply)]
    }
}
