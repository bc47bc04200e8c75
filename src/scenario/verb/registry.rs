//! The list of all verbs, from which [`Step`] and its dispatch are generated. To add a verb, add
//! its file, its line here, and its implementation (`run/step/`, called from `run/scenario.rs`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, File, Limit, Mistake, Run, Verb};

macro_rules! verbs {
    ($($module:ident::$name:ident,)*) => {
        /// The closed set of verbs. Steps run in the order of the file.
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        #[allow(
            clippy::large_enum_variant,
            reason = "a scenario has few steps; boxing would only hurt readability"
        )]
        pub enum Step {
            $(
                #[schemars(description = <super::$module::$name as Verb>::DOC)]
                $name(super::$module::$name),
            )*
        }

        /// Name, form and meaning of each verb, for the documentation.
        #[cfg(test)]
        pub(super) const FORMS: &[(&str, &str, &str)] = &[$((
            <super::$module::$name as Verb>::NAME,
            <super::$module::$name as Verb>::FORM,
            <super::$module::$name as Verb>::DOES,
        )),*];

        impl Step {
            /// The verb's name.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => <super::$module::$name as Verb>::NAME,)* }
            }

            /// What it does, for events and `explain`.
            pub fn describe(&self) -> String {
                match self { $(Self::$name(one) => Verb::describe(one),)* }
            }

            /// Workloads that it names, by field.
            pub fn workloads(&self) -> Vec<(&'static str, &str)> {
                match self { $(Self::$name(one) => Verb::workloads(one),)* }
            }

            /// Probes that it names, by field.
            pub fn probes(&self) -> Vec<(&'static str, &str)> {
                match self { $(Self::$name(one) => Verb::probes(one),)* }
            }

            /// Probe runs that it makes.
            pub fn runs(&self) -> Vec<Run<'_>> {
                match self { $(Self::$name(one) => Verb::runs(one),)* }
            }

            /// A probe and the matchers that must be refuted.
            pub fn refuted(&self) -> Option<(&str, &[String])> {
                match self { $(Self::$name(one) => Verb::refuted(one),)* }
            }

            /// Whether something must be refuted.
            pub fn is_contrast(&self) -> bool {
                match self { $(Self::$name(one) => Verb::is_contrast(one),)* }
            }

            /// The manifest beside the scenario that it applies.
            pub fn file(&self) -> Option<File<'_>> {
                match self { $(Self::$name(one) => Verb::file(one),)* }
            }

            /// See [`Verb::mistakes`].
            pub fn mistakes(&self, before: &Before, around: &Around<'_>) -> Vec<Mistake> {
                match self { $(Self::$name(one) => Verb::mistakes(one, before, around),)* }
            }

            /// See [`Verb::leaves`].
            pub fn leaves(&self, before: &mut Before) {
                match self { $(Self::$name(one) => Verb::leaves(one, before),)* }
            }

            /// Values that have a limit.
            pub fn limits(&self) -> Vec<Limit<'_>> {
                match self { $(Self::$name(one) => Verb::limits(one),)* }
            }
        }
    };
}

verbs! {
    apply::Apply,
    delete::Delete,
    probe::Probe,
    contrast::Contrast,
    scale::Scale,
    converge::Converge,
    background::Background,
    stop_background::StopBackground,
    restart::Restart,
    certificate::Certificate,
    expect_rejected::ExpectRejected,
    configure_server::ConfigureServer,
    churn::Churn,
    expect_ready::ExpectReady,
    wait_for_stat::WaitForStat,
    compare::Compare,
}

impl Step {
    /// Path of a field of the verb in the file; the path of the verb itself for an empty field.
    pub fn path(&self, index: usize, field: &str) -> String {
        let verb = format!("steps[{index}].{}", self.name());
        match field {
            "" => verb,
            field => format!("{verb}.{field}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_its_verb() {
        let schema = serde_json::to_value(schemars::schema_for!(Step)).expect("JSON");
        let verbs = schema["oneOf"].as_array().expect("verbs");
        let parts = verbs.iter().map(|verb| &verb["required"][0]);
        let parts: Vec<&str> = parts.map(|word| word.as_str().expect("a string")).collect();
        let names: Vec<&str> = FORMS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, parts);
        assert!(verbs.iter().all(|verb| verb["description"].is_string()));
    }

    #[test]
    fn the_page_lists_every_verb() {
        let rows = FORMS
            .iter()
            .map(|(_, form, does)| format!("| {form} | {does} |\n"));
        let table = format!(
            "| verb | what it does |\n|---|---|\n{}",
            rows.collect::<String>()
        );
        crate::text::assert_in_page("docs/scenario-format.md", "verbs", &table);
    }
}
