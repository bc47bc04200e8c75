//! What a target that is up can be asked for, and what of a plan it therefore skips.

use std::collections::BTreeSet;

use super::CommandError;
use crate::{
    mesh::istio::{
        capabilities,
        found::{self, Found},
    },
    plan::{self, Plan, Terms},
    scenario::Loaded,
    target::Ready,
};

/// The mesh of a target that is up, and its capabilities.
pub(super) struct Offered {
    /// Where its parts are.
    pub found: Found,
    /// By the words of `needs:`.
    pub capabilities: BTreeSet<String>,
    /// What it has not, in words for the report.
    pub lacks: Vec<String>,
    /// Why there is no browser, in parentheses; empty where nobody asked.
    no_browser: String,
}

impl Offered {
    /// Asks the mesh; a browser is only looked for when a scenario needs one.
    ///
    /// # Errors
    /// There is no mesh, or it does not answer.
    pub async fn by(ready: &Ready, scenarios: &[Loaded]) -> Result<Self, CommandError> {
        let found = found::find(&ready.client, &ready.dial).await;
        let found = found.map_err(CommandError::other)?;
        let offer = capabilities::offer(&ready.client, &found.gateways).await;
        let offer = offer.map_err(|words| {
            CommandError::other(std::io::Error::other(format!(
                "the mesh's settings: {words}"
            )))
        })?;
        let mut capabilities = offer.capabilities;
        capabilities.extend(ready.programs.iter().cloned());
        if ready.istioctl.is_some() {
            capabilities.insert("istioctl".to_owned());
        }
        if ready.own_mesh {
            capabilities.insert("own-mesh".to_owned());
            // What a scenario writes there concerns nobody else.
            capabilities.insert("outside-namespace".to_owned());
        }
        // grpcurl and the program that is its own data plane come in one image.
        if !ready.programs.contains("grpcurl") {
            capabilities.remove("proxyless");
        }
        let mut no_browser = String::new();
        if scenarios.iter().any(wants_browser) {
            match browser().await {
                Ok(()) => drop(capabilities.insert("browser".to_owned())),
                Err(words) => no_browser = format!(" ({words})"),
            }
        }
        Ok(Self {
            found,
            capabilities,
            lacks: offer.lacks,
            no_browser,
        })
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
