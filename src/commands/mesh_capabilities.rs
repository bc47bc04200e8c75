//! The capabilities of a target that is up, and what a plan skips for lack of them.

use std::collections::BTreeSet;

use super::CommandError;
use crate::{
    errors::{Classified, ErrorClass, chain},
    mesh::istio::{
        capabilities::{self, CapabilitiesError},
        discovery::{self, IstioEndpoints},
    },
    plan::{self, Plan, PlanOptions},
    scenario::loaded::LoadedScenario,
    targets::TargetAccess,
};

/// The mesh of a target that is up, and its capabilities.
pub(super) struct MeshCapabilities {
    /// Addresses of its components.
    pub endpoints: IstioEndpoints,
    /// Capabilities, as named in `needs:`.
    pub capabilities: BTreeSet<String>,
    /// Missing capabilities, for the report.
    pub lacks: Vec<String>,
    /// Why there is no browser, in parentheses; empty if none is needed.
    no_browser: String,
}

/// An error querying the capabilities of the mesh.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the mesh's settings")]
struct MeshUnknown(#[source] CapabilitiesError);

impl Classified for MeshUnknown {
    fn class(&self) -> ErrorClass {
        self.0.class()
    }
}

impl MeshCapabilities {
    /// Queries the mesh; looks for a browser only if a scenario needs one.
    ///
    /// # Errors
    /// There is no mesh, or it does not answer.
    pub async fn by(
        ready: &TargetAccess,
        scenarios: &[LoadedScenario],
    ) -> Result<Self, CommandError> {
        let endpoints = discovery::find(&ready.client, &ready.dial).await;
        let endpoints = endpoints.map_err(CommandError::of)?;
        let offer = capabilities::offer(&ready.client, &endpoints.gateways).await;
        let offer = offer.map_err(|error| CommandError::of(MeshUnknown(error)))?;
        let mut capabilities = offer.capabilities;
        capabilities.extend(of_target(
            &ready.programs,
            ready.istioctl.is_some(),
            ready.own_mesh,
        ));
        // grpcurl and the proxyless gRPC program come in one image.
        if !ready.programs.contains("grpcurl") {
            capabilities.remove("proxyless");
        }
        let mut no_browser = String::new();
        if scenarios.iter().any(wants_browser) {
            match browser().await {
                Ok(()) => drop(capabilities.insert("browser".to_owned())),
                Err(why) => no_browser = format!(" ({})", chain(&why)),
            }
        }
        Ok(Self {
            endpoints,
            capabilities,
            lacks: offer.lacks,
            no_browser,
        })
    }

    /// The order of the scenarios, with a reason for each one that is skipped.
    pub fn plan(&self, scenarios: Vec<LoadedScenario>, terms: PlanOptions) -> Plan {
        let mut plan = plan::plan(scenarios, terms, Some(&self.capabilities));
        for entry in &mut plan.entries {
            if let plan::PlanAction::Skip(reason) = &mut entry.action
                && wants_browser(&entry.loaded)
            {
                reason.push_str(&self.no_browser);
            }
        }
        plan
    }
}

/// Capabilities of a target besides its mesh, except a browser, which is looked for on this
/// machine.
fn of_target(programs: &BTreeSet<String>, istioctl: bool, own_mesh: bool) -> BTreeSet<String> {
    let mut message = programs.clone();
    let mut add = |word: &str, there: bool| {
        if there {
            message.insert(word.to_owned());
        }
    };
    add("istioctl", istioctl);
    add("own-mesh", own_mesh);
    // On a mesh of meshproof's own, objects outside the namespaces of a scenario affect nobody
    // else.
    add("outside-namespace", own_mesh);
    message
}

fn wants_browser(loaded: &LoadedScenario) -> bool {
    loaded.scenario.needs.iter().any(|need| need == "browser")
}

/// An error preparing a real browser for scenarios.
#[derive(Debug, thiserror::Error)]
enum NoBrowser {
    #[cfg(feature = "browser")]
    #[error(transparent)]
    Chromium(#[from] crate::browser::chrome::ChromeError),
    #[cfg(feature = "browser")]
    #[error(transparent)]
    Page(#[from] crate::browser::page::PageError),
    /// The task that builds its page panicked.
    #[cfg(feature = "browser")]
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
    #[cfg(not(feature = "browser"))]
    #[error("this build has no browser support: build with --features browser")]
    NotBuiltIn,
}

/// Checks that scenarios can use a real browser; builds its page if it is not cached.
#[cfg(feature = "browser")]
async fn browser() -> Result<(), NoBrowser> {
    use crate::browser::{chrome, page};
    chrome::executable()?;
    tokio::task::spawn_blocking(page::built).await??;
    Ok(())
}

#[cfg(not(feature = "browser"))]
async fn browser() -> Result<(), NoBrowser> {
    Err(NoBrowser::NotBuiltIn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::requirements::OF_THE_TARGET;

    #[test]
    fn every_word_that_a_scenario_may_ask_a_target_for_is_one_that_a_target_can_offer() {
        let programs = ["grpcurl", "grpcio"].map(str::to_owned).into();
        let mut offered = of_target(&programs, true, true);
        offered.insert("browser".to_owned());
        let message = OF_THE_TARGET.map(|(word, _)| word.to_owned());
        assert_eq!(offered, BTreeSet::from(message));
    }
}
