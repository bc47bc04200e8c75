//! The verbs that change the world.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{certificates, context::Context, probe, scenario::Run};
use crate::{
    cluster::{object::MANAGER, pods},
    fixture::workload::WORKLOAD_LABEL,
    plan::step_probes,
    scenario::{Loaded, manifest, model::Scale},
};

/// Applies `<behaviour>.<name>.yaml` and returns when every proxy concerned has it.
pub async fn apply(run: &mut Run<'_>, name: &str) -> Result<(), String> {
    let objects = manifest(run, name)?;
    asked(
        run,
        objects.iter().filter_map(|object| object["kind"].as_str()),
    );
    let gateway = uses_gateway(run.ctx, run.loaded);
    let live = run
        .place
        .change(run.ctx, objects, Vec::new(), gateway)
        .await
        .map_err(|error| error.to_string())?;
    run.floor_ms += live.push_ms;
    let mut written = live.written;
    // An edit of what is there already: objects that the new file does not name stay, as kubectl apply leaves them.
    let before = run.applied.remove(name).unwrap_or_default();
    written.extend(before.into_iter().filter(|old| !run_has(run, old)));
    run.applied.insert(name.to_owned(), written);
    certificates::settled(run).await
}

/// Kinds of objects that have pods, and Gateways, for which istiod makes some.
const WITH_PODS: [&str; 7] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "Pod",
    "Gateway",
];

/// Who writes or deletes an object that has pods asks for what becomes of them.
fn asked<'a>(run: &Run<'_>, mut kinds: impl Iterator<Item = &'a str>) {
    if kinds.any(|kind| WITH_PODS.contains(&kind)) {
        run.place.guard.ask("*");
    }
}

fn run_has(run: &Run<'_>, old: &crate::cluster::object::Written) -> bool {
    run.applied
        .values()
        .flatten()
        .any(|written| written.uid == old.uid)
}

/// Deletes what that file wrote and returns when every proxy has forgotten it.
pub async fn delete(run: &mut Run<'_>, name: &str) -> Result<(), String> {
    if let Some(done) = certificates::delete(run, name).await {
        return done;
    }
    let written = run
        .applied
        .remove(name)
        .ok_or_else(|| format!("nothing called {name} was applied"))?;
    asked(run, written.iter().map(|object| object.kind.as_str()));
    let gateway = uses_gateway(run.ctx, run.loaded);
    let live = run
        .place
        .change(run.ctx, Vec::new(), written, gateway)
        .await
        .map_err(|error| error.to_string())?;
    run.floor_ms += live.push_ms;
    Ok(())
}

/// The gateway's proxies are waited for when any probe goes through it.
pub fn uses_gateway(ctx: &Context, loaded: &Loaded) -> bool {
    let scenario = &loaded.scenario;
    let steps = scenario.steps.iter();
    let mut probes = steps
        .filter_map(|step| step_probes(scenario, step, ctx.rates).ok())
        .flatten();
    probes.any(|probe| probe::through_gateway(&probe))
}

/// The objects of `<behaviour>.<name>.yaml`, placeholders replaced.
///
/// # Errors
/// In words: there is no such file, or it is no YAML.
pub fn manifest(run: &Run<'_>, name: &str) -> Result<Vec<Value>, String> {
    let file = run.loaded.config(name).map_err(|error| error.to_string())?;
    let file = file.ok_or_else(|| format!("no manifest {}", run.loaded.config_path(name)))?;
    let text = expand(run, &run.ctx.text(&file.file, file.text));
    let documents =
        crate::yaml::documents(&text).map_err(|error| format!("{}: {error}", file.file))?;
    Ok(documents
        .into_iter()
        .map(|document| document.value)
        .collect())
}

/// The text with its placeholders replaced.
pub fn expand(run: &Run<'_>, text: &str) -> String {
    manifest::expand(text, &probe::names(&run.place))
}

/// Scales a workload; returns when its pods are as wanted and every proxy knows them.
pub async fn scale(run: &Run<'_>, scale: &Scale) -> Result<(), String> {
    run.place.guard.ask(&scale.workload);
    let api: Api<Deployment> = Api::namespaced(run.ctx.client.clone(), &run.place.namespace);
    let patch = json!({"spec": {"replicas": scale.replicas}});
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch(&scale.workload, &params, &Patch::Merge(&patch))
        .await
        .map_err(|error| error.to_string())?;
    run.place
        .await_pods(run.ctx, &scale.workload, scale.replicas)
        .await
        .map_err(|error| error.to_string())?;
    run.place
        .await_endpoints(run.ctx, uses_gateway(run.ctx, run.loaded))
        .await
        .map_err(|error| error.to_string())
}

/// Deletes the pods of a workload one after the other; each is replaced and known to every proxy before the next goes.
pub async fn restart(run: &Run<'_>, workload: &str) -> Result<(), String> {
    run.place.guard.ask(workload);
    let api: Api<Pod> = Api::namespaced(run.ctx.client.clone(), &run.place.namespace);
    let all = run.ctx.pods.of(&run.place.namespace);
    let mine: Vec<String> = all
        .iter()
        .filter(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload))
        .map(|pod| pod.name_any())
        .collect();
    let count = u32::try_from(mine.len()).unwrap_or(u32::MAX);
    for pod in mine {
        api.delete(&pod, &DeleteParams::default())
            .await
            .map_err(|error| error.to_string())?;
        let gone = |pods: &[Pod]| !pods.iter().any(|other| other.name_any() == pod);
        let waited = run
            .ctx
            .pods
            .until(
                &run.place.namespace,
                std::time::Duration::from_secs(120),
                gone,
            )
            .await;
        waited.map_err(|_| format!("pod {pod} was not gone within 120 s"))?;
        run.place
            .await_pods(run.ctx, workload, count)
            .await
            .map_err(|error| error.to_string())?;
        run.place
            .await_endpoints(run.ctx, uses_gateway(run.ctx, run.loaded))
            .await
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
