//! `expect-rejected`: configuration that must not be taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Fate, File, Limit, Verb};

/// Configuration that must not be taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExpectRejected {
    /// `<behaviour>.<name>.yaml`; every object in it must be refused. A proxy refuses what it is
    /// sent, not single objects.
    pub apply: String,
    pub by: RejectedBy,
    /// Words that the refusal must hold.
    #[serde(default)]
    pub says: Option<String>,
}

/// Who refuses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectedBy {
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

impl RejectedBy {
    /// For messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::UnknownKind => "the API server knows no such kind",
            Self::Schema => "the kind's schema",
            Self::Webhook => "the mesh's validation webhook",
            Self::Proxy => "a proxy",
        }
    }
}

impl Verb for ExpectRejected {
    const NAME: &'static str = "expect-rejected";
    const DOC: &'static str = "Apply a file that must be refused.";
    const FORM: &'static str = "`expect-rejected: {apply, by, says}`";
    const DOES: &'static str = "applies a file of which every object must be refused, by `unknown-kind` (the API server), `schema` or `webhook` (the mesh's validation), perhaps with these words; `by: proxy`: the mesh takes it and a proxy refuses it (NACK), then it is taken away again";

    fn describe(&self) -> String {
        format!(
            "apply {}, which must be refused by {}",
            self.apply,
            self.by.describe()
        )
    }

    fn file(&self) -> Option<File<'_>> {
        Some(File {
            field: "apply",
            name: &self.apply,
            fate: match self.by {
                RejectedBy::UnknownKind => Fate::UnknownKind,
                RejectedBy::Schema | RejectedBy::Webhook => Fate::Refused,
                RejectedBy::Proxy => Fate::RefusedByProxy,
            },
        })
    }

    fn limits(&self) -> Vec<Limit<'_>> {
        vec![Limit::File("apply", &self.apply)]
    }
}
