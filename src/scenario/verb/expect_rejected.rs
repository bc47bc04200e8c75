//! `expect-rejected`: configuration that must be rejected.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Fate, File, Limit, Verb};

/// Configuration that must be rejected.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExpectRejected {
    /// `<behaviour>.<name>.yaml`; every object in it must be rejected. A proxy rejects what it is
    /// sent as a whole, not single objects.
    pub apply: String,
    pub by: RejectedBy,
    /// Text that the rejection must contain.
    #[serde(default)]
    pub says: Option<String>,
}

/// Who rejects an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RejectedBy {
    /// The API server does not know the kind: the group, the version or the kind is wrong, or its
    /// CRD is not installed.
    UnknownKind,
    /// The kind's schema.
    Schema,
    /// The mesh's validation webhook.
    Webhook,
    /// A proxy, after the mesh has accepted and sent it (NACK).
    Proxy,
}

impl RejectedBy {
    /// For messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::UnknownKind => "the API server (unknown kind)",
            Self::Schema => "the kind's schema",
            Self::Webhook => "the mesh's validation webhook",
            Self::Proxy => "a proxy",
        }
    }
}

impl Verb for ExpectRejected {
    const NAME: &'static str = "expect-rejected";
    const DOC: &'static str = "Apply a file that must be rejected.";
    const FORM: &'static str = "`expect-rejected: {apply, by, says}`";
    const DOES: &'static str = "applies a file of which every object must be rejected, by `unknown-kind` (the API server), `schema` or `webhook` (the mesh's validation), optionally with the text in `says`; `by: proxy`: the mesh accepts it and a proxy rejects it (NACK), then it is deleted again";

    fn describe(&self) -> String {
        format!(
            "apply {}, which must be rejected by {}",
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
