//! The list of all matchers, in the order in which they are judged, and what is generated from it:
//! the fields of `expect:`, their parsed form, and the dispatch to each matcher. To add a matcher,
//! add its file and a line here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use testbed::control::Observation;

use super::spec::{Around, Exact, ExpectError, Mistake, Named, Sample, Sampled as _, Spec};
use crate::{
    values::range::DurationRange,
    verdict::{
        calls::Calls,
        judgement::{Judgement, SequentialTest, concluded},
        pods::World,
    },
};

/// Calls a matcher according to its kind.
macro_rules! ask {
    (sequential exact $one:ident $world:ident $rates:ident) => {{
        let _ = $one;
        None
    }};
    (sequential sampled $one:ident $world:ident $rates:ident) => {
        Some($one.sequential($world, $rates))
    };
    (refuted exact $one:ident $call:ident) => {
        $one.is_refuted_by($call)
    };
    (refuted sampled $one:ident $call:ident) => {{
        let _ = $one;
        None
    }};
    (judge exact $one:ident $calls:ident $rates:ident) => {
        $one.judge($calls, $rates)
    };
    (judge sampled $one:ident $calls:ident $rates:ident) => {
        concluded($one.sequential(&$calls.world(), $rates), $calls)
    };
    (statistical exact) => {
        false
    };
    (statistical sampled) => {
        true
    };
}

macro_rules! matchers {
    ($($kind:ident $field:ident: $module:ident::$name:ident,)*) => {
        /// What must be observed. Every field that is set is one matcher; all must hold.
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
        pub struct Expect {
            $(
                #[schemars(description = <super::$module::$name as Spec>::DOC)]
                pub $field: Option<<super::$module::$name as Spec>::Written>,
            )*
        }

        impl Expect {
            /// Merges two expectations: a field that is not set here is taken from `below`.
            #[must_use]
            pub fn over(&self, below: &Self) -> Self {
                Self { $($field: self.$field.clone().or_else(|| below.$field.clone())),* }
            }

            /// Parses every field that is set, in the order of the list. Returns all errors, not
            /// only the first.
            pub(crate) fn read(&self) -> (Vec<Matcher>, Vec<ExpectError>) {
                let (mut matchers, mut errors) = (Vec::new(), Vec::new());
                $(
                    match self.$field.as_ref().map(super::$module::$name::read) {
                        Some(Ok(matcher)) => matchers.push(Matcher::$name(matcher)),
                        Some(Err(error)) => errors.push(error),
                        None => {}
                    }
                )*
                (matchers, errors)
            }
        }

        /// One matcher, with its values parsed.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Matcher { $($name(super::$module::$name),)* }

        $(
            impl From<super::$module::$name> for Matcher {
                fn from(matcher: super::$module::$name) -> Self {
                    Self::$name(matcher)
                }
            }

            impl Member for super::$module::$name {
                fn of(matcher: &Matcher) -> Option<&Self> {
                    match matcher {
                        Matcher::$name(own) => Some(own),
                        _ => None,
                    }
                }
            }
        )*

        /// The names of all matchers, in the order in which they are judged.
        pub const MATCHERS: &[&str] = &[$(<super::$module::$name as Spec>::NAME),*];

        /// The documentation of all matchers: name, whether it is statistical, rows.
        #[cfg(test)]
        pub(super) const FORMS: &[(&str, bool, &[super::spec::Form])] = &[$(
            (
                <super::$module::$name as Spec>::NAME,
                ask!(statistical $kind),
                <super::$module::$name as Spec>::FORMS,
            )
        ),*];

        impl Matcher {
            /// The name of the field of `expect:`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => <super::$module::$name as Spec>::NAME,)* }
            }

            /// See [`Spec::EVERY_CALL`].
            pub fn every_call(&self) -> bool {
                match self { $(Self::$name(_) => <super::$module::$name as Spec>::EVERY_CALL,)* }
            }

            /// See [`Spec::COUNTS_ANSWERS`].
            pub fn counts_answers(&self) -> bool {
                match self { $(Self::$name(_) => <super::$module::$name as Spec>::COUNTS_ANSWERS,)* }
            }

            /// The expectation as reports show it.
            pub fn expected(&self) -> String {
                match self { $(Self::$name(one) => Spec::expected(one),)* }
            }

            /// Replaces placeholders in its texts.
            pub fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
                match self { $(Self::$name(one) => Spec::expand(one, expand),)* }
            }

            /// The workloads that it names.
            pub fn names(&self) -> Vec<Named<'_>> {
                match self { $(Self::$name(one) => Spec::names(one),)* }
            }

            /// See [`Spec::mistakes`].
            pub fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
                match self { $(Self::$name(one) => Spec::mistakes(one, around),)* }
            }

            /// Whether it is decided statistically, with declared error rates.
            pub fn declares_rates(&self) -> bool {
                match self { $(Self::$name(one) => Spec::declares_rates(one),)* }
            }

            /// See [`Spec::bound`].
            pub fn bound(&self) -> Option<DurationRange> {
                match self { $(Self::$name(one) => Spec::bound(one),)* }
            }

            /// See [`Spec::is_about_the_client`].
            pub fn is_about_the_client(&self) -> bool {
                match self { $(Self::$name(one) => Spec::is_about_the_client(one),)* }
            }

            /// Describes how it is decided, for `explain`.
            pub fn test(&self, sample: &Sample<'_>) -> String {
                match self { $(Self::$name(one) => Spec::test(one, sample),)* }
            }

            /// The test that decides it while the calls run; `None` for exact matchers.
            pub fn sequential(&self, world: &World<'_>, rates: Rates) -> Option<Box<dyn SequentialTest>> {
                match self { $(Self::$name(one) => ask!(sequential $kind one world rates),)* }
            }

            /// See [`Exact::is_refuted_by`].
            pub fn is_refuted_by(&self, call: &Observation) -> Option<bool> {
                match self { $(Self::$name(one) => ask!(refuted $kind one call),)* }
            }

            /// Judges a finished run.
            pub fn judge(&self, calls: &Calls<'_>, rates: Rates) -> Judgement {
                match self { $(Self::$name(one) => ask!(judge $kind one calls rates),)* }
            }

            /// Whether it needs several calls and may stop before the cap.
            pub fn is_statistical(&self) -> bool {
                match self { $(Self::$name(_) => ask!(statistical $kind),)* }
            }
        }
    };
}

matchers! {
    exact status: status::Status,
    exact message: message::Message,
    exact produced_by: produced_by::ProducedBy,
    sampled reaches_all: reaches_all::ReachesAll,
    sampled pinned: pinned::Pinned,
    sampled spread: spread::Spread,
    sampled share: share::Share,
    sampled sticky_by: sticky_by::StickyBy,
    exact remapped: remapped::Remapped,
    exact answered_by: answered_by::AnsweredBy,
    exact attempts: attempts::Attempts,
    exact upstream_protocol: upstream_protocol::UpstreamProtocol,
    exact took: took::Took,
    exact server_deadline: server_deadline::ServerDeadline,
    exact response: response::Response,
    exact initial_metadata: initial_metadata::InitialMetadata,
    exact trailing_metadata: trailing_metadata::TrailingMetadata,
    exact server_metadata: server_metadata::ServerMetadata,
    exact server_metadata_includes: server_metadata_includes::ServerMetadataIncludes,
    exact peer_identity: peer_identity::PeerIdentity,
    exact tls: tls::Tls,
    exact response_flag: response_flag::ResponseFlag,
    exact http_status: http_status::HttpStatus,
    exact status_in: status_in::StatusIn,
    exact page_sees: page_sees::PageSees,
    exact stream: stream::Stream,
    exact reset: reset::Reset,
    exact stream_outcome: stream_outcome::StreamOutcome,
    exact server_pings: server_pings::ServerPings,
    exact server_connections: server_connections::ServerConnections,
    exact max_failed: max_failed::MaxFailed,
    exact access_log: access_log::AccessLog,
    exact counters: counters::Counters,
    exact trace: trace::Trace,
    exact spans: spans::Spans,
    exact istioctl: istioctl::IstioctlSays,
    exact detects: detects::Detects,
    exact config: config::Config,
}

/// The type of a single matcher.
pub trait Member: Sized {
    /// Returns it if the matcher is of this type.
    fn of(matcher: &Matcher) -> Option<&Self>;
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_name_is_its_field() {
        let schema = serde_json::to_value(schemars::schema_for!(Expect)).expect("JSON");
        let fields = schema["properties"].as_object().expect("fields");
        let mut names = MATCHERS.to_vec();
        names.sort_unstable();
        let mut fields: Vec<&str> = fields.keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(names, fields);
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let message = field["description"].as_str().unwrap_or_default();
            assert!(
                message.ends_with('.') || message.ends_with(')'),
                "{name}: {message}"
            );
        }
    }

    #[test]
    fn a_field_that_is_set_above_wins() {
        let read = |text: &str| serde_yaml::from_str::<Expect>(text).expect("valid YAML");
        let merged = read("{status: OK}").over(&read("{status: '14', max-failed: 2}"));
        let value: Value = serde_json::to_value(&merged).expect("JSON");
        assert_eq!(
            (&value["status"], &value["max-failed"]),
            (&"OK".into(), &2.into())
        );
    }
}
