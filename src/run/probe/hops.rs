//! Determines which hop handled each call and how it was configured, from the proxy's access log
//! and configuration dump.

use std::collections::{BTreeMap, BTreeSet};

use super::{error::ProbeError, telemetry};
use crate::{
    observe::data_plane::hop::Taken,
    run::{context::RunContext, namespace::scenario_namespace::ScenarioNamespace},
    verdict::{
        calls::Calls,
        gathered::Hops,
        matcher::{access_log::AccessLog, config::Config},
    },
};

/// Reads the log and the configuration of the proxies at `wanted.at`.
///
/// # Errors
/// A proxy does not answer.
pub async fn hops(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    expected: &Config,
    calls: &Calls<'_>,
    contrast: bool,
) -> Result<Hops, ProbeError> {
    let log = AccessLog {
        at: expected.at.clone(),
        fields: BTreeMap::new(),
        absent: false,
    };
    let mut found = Hops::default();
    for (call, line) in telemetry::lines(ctx, ns, &log, calls, contrast).await? {
        if let Some(taken) = Taken::of(&line) {
            found.taken.insert(call, taken);
        }
    }
    found
        .taken
        .retain(|call, _| calls.judged.iter().any(|judged| judged.call == *call));
    let distinct: BTreeSet<&Taken> = found.taken.values().collect();
    for proxy in telemetry::proxies(ctx, ns, &expected.at) {
        for &taken in &distinct {
            let hop = found.parts.entry(taken.clone()).or_default();
            proxy.add_hop(taken, hop).await?;
        }
    }
    Ok(found)
}
