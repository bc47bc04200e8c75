//! Applies a mutation's patches to proxies, and checks that the proxies have them.

use serde_json::Value;

use super::scenario_namespace::{ScenarioNamespace, TakenSlots};
use crate::{
    cluster::object::{RUN_LABEL, Written},
    errors::{Classified, ErrorClass},
    mesh::istio::propagation::change::{Change, PropagationError},
    mutation::{self, Mutation},
    run::context::RunContext,
    scenario::{
        loaded::LoadedScenario,
        manifest::{Names, expand},
    },
};

/// Returns the mutation's objects for a scenario's namespace once its pods are ready.
/// `${address:WORKLOAD}` is the address of the workload's first pod.
pub fn objects(
    ctx: &RunContext,
    names: &Names<'_>,
    first: impl Fn(&str) -> Option<String>,
) -> Vec<Value> {
    let object = ctx.session.mutation.as_ref().and_then(mutation::sidecars);
    let expanded = object.map(|mut object| {
        each_text(&mut object, &mut |text: &mut String| {
            *text = expand(text, names);
            if let Some(workload) = address_of(text) {
                *text = first(workload).unwrap_or_default();
            }
        });
        object
    });
    expanded.into_iter().collect()
}

/// Returns WORKLOAD of `${address:WORKLOAD}`.
fn address_of(text: &str) -> Option<&str> {
    text.strip_prefix("${address:")?.strip_suffix('}')
}

fn each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => {
            fields
                .values_mut()
                .for_each(|field| each_text(field, change));
        }
        _ => {}
    }
}

/// Breaks the shared gateway for the whole run. The returned objects must be passed to
/// [`mend_gateway`].
///
/// # Errors
/// The gateway does not have the patches in time.
pub async fn break_gateway(
    ctx: &RunContext,
    namespace: &str,
) -> Result<Vec<Written>, PropagationError> {
    let Some(mut object) = ctx
        .session
        .mutation
        .as_ref()
        .and_then(mutation::shared_gateway)
    else {
        return Ok(Vec::new());
    };
    object["metadata"]["labels"][RUN_LABEL] = ctx.session.run_id.as_str().into();
    let change = Change {
        namespace: namespace.to_owned(),
        // The gateway is in the mesh's namespace.
        outside: true,
        apply: vec![object],
        planes: ctx.mesh.gateways.clone(),
        ..Change::default()
    };
    Ok(ctx.mesh.applier.change(change).await?.written)
}

/// Removes the patches from the shared gateway.
///
/// # Errors
/// The gateway still has the patches.
pub async fn mend_gateway(
    ctx: &RunContext,
    namespace: &str,
    written: Vec<Written>,
) -> Result<(), PropagationError> {
    if written.is_empty() {
        return Ok(());
    }
    let change = Change {
        namespace: namespace.to_owned(),
        delete: written,
        planes: ctx.mesh.gateways.clone(),
        ..Change::default()
    };
    ctx.mesh.applier.change(change).await.map(|_| ())
}

/// Records which patches the proxies of a scenario have now: later steps may remove what they
/// match.
pub async fn look(ctx: &RunContext, ns: &ScenarioNamespace, taken: &TakenSlots) {
    let Some(mutation) = patched(ctx) else { return };
    let all = ns
        .proxies(ctx)
        .into_iter()
        .chain(ctx.mesh.gateways.iter().cloned());
    for proxy in all {
        let Ok(dump) = proxy.configuration().await else {
            continue;
        };
        let numbered = mutation.patches.iter().enumerate();
        let seen = numbered.filter(|(number, patch)| patch.is_in(*number, &dump));
        let seen: Vec<usize> = seen.map(|(number, _)| number).collect();
        taken
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .extend(seen);
    }
}

/// No proxy had a patch in a scenario that must detect the mutation. So it is unknown whether the
/// scenario would have detected it.
#[derive(Debug, thiserror::Error)]
#[error(
    "patch {number} of mutation {mutation} ({operation} {apply_to}) was in no proxy's configuration: it matches nothing here, or was rejected"
)]
pub struct MutationNotTaken {
    number: usize,
    mutation: String,
    operation: String,
    apply_to: String,
}

impl Classified for MutationNotTaken {
    fn class(&self) -> ErrorClass {
        ErrorClass::Harness
    }
}

/// Returns the first patch that no proxy had, if this scenario must detect the mutation.
pub fn untaken(
    ctx: &RunContext,
    loaded: &LoadedScenario,
    taken: &TakenSlots,
) -> Option<MutationNotTaken> {
    let mutation = patched(ctx)?;
    if !mutation.turns_red.contains(&loaded.id) {
        return None;
    }
    let taken = taken
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let number = (0..mutation.patches.len()).find(|number| !taken.contains(number))?;
    let patch = &mutation.patches[number];
    Some(MutationNotTaken {
        number: number + 1,
        mutation: mutation.name.clone(),
        operation: patch.patch["operation"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        apply_to: patch.apply_to.clone(),
    })
}

fn patched(ctx: &RunContext) -> Option<&Mutation> {
    ctx.session
        .mutation
        .as_ref()
        .filter(|mutation| !mutation.patches.is_empty())
}
