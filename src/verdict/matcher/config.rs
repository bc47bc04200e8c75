//! `config`: fields of the effective configuration of the hop that handled each call.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use statistics::Rates;

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Named, Spec};
use crate::{
    observe::data_plane::hop::{Hop, Part, at},
    verdict::{
        calls::Calls,
        judgement::{Judgement, exact},
        outcome::CheckResult,
        tally::Tally,
    },
};

/// Fields of a part of the configuration: JSON pointers (RFC 6901) with the expected value as in
/// Envoy's configuration dump. `null` means that the field is absent, which is also how a default
/// value looks in a dump. An element of a list is selected by its index or its `name`.
pub type Fields = BTreeMap<String, Value>;

/// The configuration of the hop that handled each call. The name of the route, the cluster and the
/// authority in the proxy's access log identify the route, virtual host and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "EffectiveConfig")]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// The workload whose sidecar (or gateway) handled the call, or `gateway`.
    pub at: String,
    /// `envoy.config.route.v3.Route`.
    pub route: Fields,
    /// `envoy.config.route.v3.VirtualHost`.
    pub virtual_host: Fields,
    /// `envoy.config.route.v3.RouteConfiguration`.
    pub route_configuration: Fields,
    /// `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`.
    pub connection_manager: Fields,
    /// `envoy.config.listener.v3.FilterChain`.
    pub filter_chain: Fields,
    /// `envoy.config.listener.v3.Listener`.
    pub listener: Fields,
    /// `envoy.config.cluster.v3.Cluster`.
    pub cluster: Fields,
}

impl Config {
    /// Every part, with the fields that are expected in it.
    pub fn parts(&self) -> [(Part, &Fields); 7] {
        [
            (Part::Listener, &self.listener),
            (Part::FilterChain, &self.filter_chain),
            (Part::ConnectionManager, &self.connection_manager),
            (Part::RouteConfiguration, &self.route_configuration),
            (Part::VirtualHost, &self.virtual_host),
            (Part::Route, &self.route),
            (Part::Cluster, &self.cluster),
        ]
    }

    /// The strings among the values, to replace their placeholders.
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let parts = [
            &mut self.listener,
            &mut self.filter_chain,
            &mut self.connection_manager,
            &mut self.route_configuration,
            &mut self.virtual_host,
            &mut self.route,
            &mut self.cluster,
        ];
        let values = parts.into_iter().flat_map(BTreeMap::values_mut);
        values.filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }
}

impl Spec for Config {
    const NAME: &'static str = "config";
    const DOC: &'static str =
        "Fields of the effective configuration of the hop that handled each call.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`config: {at, route, virtual-host, route-configuration, connection-manager, filter-chain, listener, cluster}`",
        "the hop that handled each call has these fields in its effective configuration (see below)",
    )];
    const LOOKS_AT: &'static str = "from the proxy's configuration dump";
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        let parts = self.parts().into_iter();
        let fields = parts.flat_map(|(part, fields)| {
            let each = fields.iter();
            each.map(move |(pointer, value)| format!("{}{pointer} {}", part.as_str(), text(value)))
        });
        let fields: Vec<String> = fields.collect();
        format!("configuration at {}: {}", self.at, fields.join(", "))
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        self.texts().for_each(|text| *text = expand(text));
    }

    fn names(&self) -> Vec<Named<'_>> {
        vec![Named::Proxy(&self.at)]
    }

    fn mistakes(&self, _: &Around<'_>) -> Vec<Mistake> {
        let parts = self.parts().into_iter();
        let named: Vec<&String> = parts.flat_map(|(_, fields)| fields.keys()).collect();
        if named.is_empty() {
            return vec![Mistake::new(
                "'config' names no field",
                "name a part and a field: `route: {/route/timeout: 0s}`",
            )];
        }
        if named.iter().all(|pointer| pointer.starts_with('/')) {
            return Vec::new();
        }
        vec![Mistake::new(
            "the name of a field must be a JSON pointer, which begins with '/'",
            "write `/route/timeout`, with the names of Envoy's configuration dump",
        )]
    }
}

impl Exact for Config {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let hops = &calls.seen.telemetry.hops;
        let kept = calls.kept();
        let (mut tally, mut worst) = (Tally::default(), CheckResult::Holds);
        for call in &kept {
            let hop = hops
                .taken
                .get(&call.call)
                .and_then(|taken| hops.parts.get(taken));
            let (result, message) = hop.map_or_else(
                || {
                    (
                        CheckResult::Undecided,
                        "no hop found that handled the call".to_owned(),
                    )
                },
                |hop| compare(self, hop),
            );
            tally.add(message);
            worst = match (worst, result) {
                (CheckResult::Refuted, _) | (_, CheckResult::Refuted) => CheckResult::Refuted,
                (CheckResult::Undecided, _) | (_, CheckResult::Undecided) => CheckResult::Undecided,
                _ => CheckResult::Holds,
            };
        }
        if kept.is_empty() {
            worst = CheckResult::Undecided;
        }
        exact(worst, tally)
    }
}

/// Lists the fields that differ.
fn compare(expected: &Config, hop: &Hop) -> (CheckResult, String) {
    let (mut differ, mut open) = (Vec::new(), Vec::new());
    for (part, fields) in expected.parts() {
        let found = hop.get(&part).map_or(&[][..], Vec::as_slice);
        for (pointer, value) in fields {
            let name = format!("{}{pointer}", part.as_str());
            let seen: BTreeSet<String> = found
                .iter()
                .map(|part| at(part, pointer).map_or_else(|| text(&Value::Null), text))
                .collect();
            let seen: Vec<String> = seen.into_iter().collect();
            match seen.as_slice() {
                [] => open.push(format!("no {} found", part.as_str())),
                [one] if *one == text(value) => {}
                [one] => differ.push(format!("{name} {one}")),
                several => open.push(format!(
                    "{name} is {}: the access log does not say which part handled the call",
                    several.join(" and ")
                )),
            }
        }
    }
    if !differ.is_empty() {
        return (CheckResult::Refuted, differ.join(", "));
    }
    match open.first() {
        Some(message) => (CheckResult::Undecided, message.clone()),
        None => (CheckResult::Holds, "as expected".to_owned()),
    }
}

/// A value as JSON. Whole numbers have no fraction, since a dump may have `100` or `100.0`.
fn text(value: &Value) -> String {
    match (value, value.as_f64()) {
        (Value::Null, _) => "absent".to_owned(),
        (Value::Number(_), Some(number)) if number.fract() == 0.0 => format!("{number:.0}"),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::data_plane::hop::Part;
    use serde_json::json;

    fn expected(text: &str) -> Config {
        serde_yaml::from_str(text).expect("valid YAML")
    }

    #[rstest::rstest]
    #[case::equal(
        "{at: c, route: {/timeout: 0s, /weight: 100, /x: null}}",
        CheckResult::Holds
    )]
    #[case::other("{at: c, route: {/timeout: 15s}}", CheckResult::Refuted)]
    #[case::there("{at: c, route: {/timeout: null}}", CheckResult::Refuted)]
    #[case::absent("{at: c, route: {/retries: 2}}", CheckResult::Refuted)]
    #[case::ambiguous("{at: c, cluster: {/name: a}}", CheckResult::Undecided)]
    #[case::same_in_both("{at: c, cluster: {/type: EDS}}", CheckResult::Holds)]
    #[case::no_such_part("{at: c, listener: {/name: a}}", CheckResult::Undecided)]
    fn fields_are_compared(#[case] text: &str, #[case] result: CheckResult) {
        let hop = Hop::from([
            (Part::Route, vec![json!({"timeout": "0s", "weight": 100.0})]),
            (
                Part::Cluster,
                vec![
                    json!({"name": "a", "type": "EDS"}),
                    json!({"name": "b", "type": "EDS"}),
                ],
            ),
        ]);
        assert_eq!(compare(&expected(text), &hop).0, result);
    }
}
