//! What the local target can be asked for, and what of a plan it therefore skips.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    plan::{self, Plan, Terms},
    scenario::Loaded,
};

/// What the local target can be asked for (`needs:`).
const LOCAL_CAPABILITIES: &[&str] = &[
    "istio",
    "envoy",
    "sidecar",
    "gateway",
    "weighted-backends",
    "envoy-filter",
    "access-log",
    "proxy-admin",
    "native-sidecars",
    "mirror",
    "fault-injection",
    "mtls",
    "rolling-restart",
    "scale",
    "retry-budget",
    "gateway-api",
    "jwt",
    "proxyless",
    "grpcurl",
    "tracing",
];

/// What a stock Envoy has not: Istio's own extensions. Said in every report.
pub(super) const LOCAL_LACKS: &[&str] = &[
    "Istio's ALPN filter and metadata exchange (a stock Envoy has no Istio extensions)",
    "Istio's telemetry filters",
];

/// The capabilities of a target that is up.
pub(super) struct Offered {
    /// By the words of `needs:`.
    pub capabilities: BTreeSet<String>,
    /// Why there is no browser, in parentheses; empty where nobody asked.
    no_browser: String,
}

impl Offered {
    /// Those of a local target with these programs; a browser is only looked for when a scenario needs one.
    pub async fn by_local(scenarios: &[Loaded], versions: &BTreeMap<String, String>) -> Self {
        let mut capabilities: BTreeSet<String> = LOCAL_CAPABILITIES
            .iter()
            .map(|&word| word.to_owned())
            .collect();
        // Only where there is a wheel for the host's Python.
        if versions.contains_key("grpcio") {
            capabilities.insert("grpcio".to_owned());
        }
        let mut no_browser = String::new();
        if scenarios.iter().any(wants_browser) {
            match browser().await {
                Ok(()) => drop(capabilities.insert("browser".to_owned())),
                Err(words) => no_browser = format!(" ({words})"),
            }
        }
        Self {
            capabilities,
            no_browser,
        }
    }

    /// The order of the scenarios, with a reason for each one that is skipped.
    pub fn plan(&self, scenarios: Vec<Loaded>, terms: Terms) -> Plan {
        let mut plan = plan::plan(scenarios, terms, Some(&self.capabilities));
        for entry in &mut plan.entries {
            if let plan::Action::Skip(reason) = &mut entry.action
                && wants_browser(&entry.loaded)
            {
                reason.push_str(&self.no_browser);
            }
        }
        plan
    }
}

fn wants_browser(loaded: &Loaded) -> bool {
    loaded.scenario.needs.iter().any(|need| need == "browser")
}

/// Whether scenarios can use a real browser; builds its page when the cache has none.
#[cfg(feature = "browser")]
async fn browser() -> Result<(), String> {
    use crate::browser::{chrome, page};
    chrome::executable()?;
    let built = tokio::task::spawn_blocking(page::built).await;
    let built = built.map_err(|error| error.to_string())?;
    built.map(drop).map_err(|error| error.to_string())
}

#[cfg(not(feature = "browser"))]
async fn browser() -> Result<(), String> {
    Err("built without it; build with --features browser".to_owned())
}
