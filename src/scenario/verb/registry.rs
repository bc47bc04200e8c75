//! The list of all verbs, and what follows from it: the steps of a scenario, and the one place
//! where each is asked. A verb is added by its file, by its line here, and by what it does
//! (`run/step/`, called from `run/scenario.rs`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::{Around, Before, File, Limit, Mistake, Run, Verb};

macro_rules! verbs {
    ($($module:ident::$name:ident,)*) => {
        /// The closed set of verbs. Reading order is time order.
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        #[allow(
            clippy::large_enum_variant,
            reason = "a handful of steps per file; a box would only cost readers"
        )]
        pub enum Step {
            $(
                #[schemars(description = <super::$module::$name as Verb>::DOC)]
                $name(super::$module::$name),
            )*
        }

        /// Word, form and meaning of each, for the documentation.
        #[cfg(test)]
        pub(super) const FORMS: &[(&str, &str, &str)] = &[$((
            <super::$module::$name as Verb>::NAME,
            <super::$module::$name as Verb>::FORM,
            <super::$module::$name as Verb>::DOES,
        )),*];

        impl Step {
            fn verb(&self) -> &dyn Asked {
                match self { $(Self::$name(one) => one,)* }
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
    finish::Finish,
    restart::Restart,
    certificate::Certificate,
    refused::Refused,
    tell::Tell,
    churn::Churn,
    ready::Ready,
    await_stat::Await,
    versus::Versus,
}

/// [`Verb`] without its types, for code that asks any step.
trait Asked {
    fn name(&self) -> &'static str;
    fn words(&self) -> String;
    fn workloads(&self) -> Vec<(&'static str, &str)>;
    fn probes(&self) -> Vec<(&'static str, &str)>;
    fn runs(&self) -> Vec<Run<'_>>;
    fn refuted(&self) -> Option<(&str, &[String])>;
    fn is_contrast(&self) -> bool;
    fn file(&self) -> Option<File<'_>>;
    fn mistakes(&self, before: &Before, around: &Around<'_>) -> Vec<Mistake>;
    fn leaves(&self, before: &mut Before);
    fn limits(&self) -> Vec<Limit<'_>>;
}

impl<T: Verb> Asked for T {
    fn name(&self) -> &'static str {
        T::NAME
    }
    fn words(&self) -> String {
        Verb::words(self)
    }
    fn workloads(&self) -> Vec<(&'static str, &str)> {
        Verb::workloads(self)
    }
    fn probes(&self) -> Vec<(&'static str, &str)> {
        Verb::probes(self)
    }
    fn runs(&self) -> Vec<Run<'_>> {
        Verb::runs(self)
    }
    fn refuted(&self) -> Option<(&str, &[String])> {
        Verb::refuted(self)
    }
    fn is_contrast(&self) -> bool {
        Verb::is_contrast(self)
    }
    fn file(&self) -> Option<File<'_>> {
        Verb::file(self)
    }
    fn mistakes(&self, before: &Before, around: &Around<'_>) -> Vec<Mistake> {
        Verb::mistakes(self, before, around)
    }
    fn leaves(&self, before: &mut Before) {
        Verb::leaves(self, before);
    }
    fn limits(&self) -> Vec<Limit<'_>> {
        Verb::limits(self)
    }
}

impl Step {
    /// The verb's word.
    pub fn name(&self) -> &'static str {
        self.verb().name()
    }

    /// What it does, as events and `explain` say it.
    pub fn words(&self) -> String {
        self.verb().words()
    }

    /// Workloads that it names, by field.
    pub fn workloads(&self) -> Vec<(&'static str, &str)> {
        self.verb().workloads()
    }

    /// Probes that it names, by field.
    pub fn probes(&self) -> Vec<(&'static str, &str)> {
        self.verb().probes()
    }

    /// Runs of probes that it makes.
    pub fn runs(&self) -> Vec<Run<'_>> {
        self.verb().runs()
    }

    /// A probe, and its matchers that must be refuted.
    pub fn refuted(&self) -> Option<(&str, &[String])> {
        self.verb().refuted()
    }

    /// Something must be refuted.
    pub fn is_contrast(&self) -> bool {
        self.verb().is_contrast()
    }

    /// The manifest beside the scenario that it writes.
    pub fn file(&self) -> Option<File<'_>> {
        self.verb().file()
    }

    /// See [`Verb::mistakes`].
    pub fn mistakes(&self, before: &Before, around: &Around<'_>) -> Vec<Mistake> {
        self.verb().mistakes(before, around)
    }

    /// See [`Verb::leaves`].
    pub fn leaves(&self, before: &mut Before) {
        self.verb().leaves(before);
    }

    /// What it asks for that has a limit.
    pub fn limits(&self) -> Vec<Limit<'_>> {
        self.verb().limits()
    }

    /// Where a field of the verb stands in the file; the verb's own value for an empty one.
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
        let words = verbs.iter().map(|verb| &verb["required"][0]);
        let words: Vec<&str> = words.map(|word| word.as_str().expect("a word")).collect();
        let names: Vec<&str> = FORMS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, words);
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
