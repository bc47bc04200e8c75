//! The verbs `apply`, `delete`, `scale` and `restart`.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
};
use serde_json::Value;

use super::{
    certificates,
    error::{ManifestError, RestartError, StepError},
};
use crate::{
    cluster::{object::ObjectError, pods},
    fixture::workload::WORKLOAD_LABEL,
    run::{probe, state::Run, stop::Stop},
    scenario::{
        manifest,
        model::Scale,
        objects::{self, Object},
    },
    timeouts::timeouts,
};

/// Applies `<behaviour>.<name>.yaml` and returns when every affected proxy has it.
pub async fn apply(run: &mut Run<'_>, name: &str) -> Result<(), Stop> {
    let objects = admitted(run, name).await?;
    asked(
        run,
        objects.iter().filter_map(|object| object["kind"].as_str()),
    );
    let gateway = probe::uses_gateway(run.ctx, run.loaded);
    let live = run.ns.change(run.ctx, objects, Vec::new(), gateway).await?;
    run.min_ms += live.push_ms;
    let mut written = live.written;
    run.answered(&written);
    // The file may update existing objects. Objects that it no longer names stay, as with
    // `kubectl apply`.
    let before = run.applied.remove(name).unwrap_or_default();
    written.extend(before.into_iter().filter(|old| !run_has(run, old)));
    run.applied.insert(name.to_owned(), written);
    Ok(certificates::settled(run).await?)
}

/// Kinds of objects that have pods, and Gateways, for which istiod creates pods.
const WITH_PODS: [&str; 7] = [
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "Pod",
    "Gateway",
];

/// A step that writes or deletes an object with pods requests what happens to them.
fn asked<'a>(run: &Run<'_>, mut kinds: impl Iterator<Item = &'a str>) {
    if kinds.any(|kind| WITH_PODS.contains(&kind)) {
        run.ns.guard.ask("*");
    }
}

fn run_has(run: &Run<'_>, old: &crate::cluster::object::Written) -> bool {
    run.applied
        .values()
        .flatten()
        .any(|written| written.uid == old.uid)
}

/// Deletes what that file wrote and returns when no proxy has it any more.
pub async fn delete(run: &mut Run<'_>, name: &str) -> Result<(), Stop> {
    if certificates::delete(run, name).await? {
        return Ok(());
    }
    let written = run
        .applied
        .remove(name)
        .ok_or_else(|| StepError::NotApplied(name.to_owned()))?;
    asked(run, written.iter().map(|object| object.kind.as_str()));
    let gateway = probe::uses_gateway(run.ctx, run.loaded);
    let live = run.ns.change(run.ctx, Vec::new(), written, gateway).await?;
    run.min_ms += live.push_ms;
    Ok(())
}

/// Returns the objects of `<behaviour>.<name>.yaml` with placeholders replaced, if the scenario
/// may write all of them.
///
/// # Errors
/// [`ManifestError`]: there is no such file, it is not valid YAML, or the scenario may not write
/// an object (with file and line).
pub async fn admitted(run: &Run<'_>, name: &str) -> Result<Vec<Value>, ManifestError> {
    let (file, documents) = documents(run, name)?;
    let mut objects = Vec::new();
    for document in documents {
        let admitted = run.ctx.writer.admit(&document.value, run.ns.home()).await;
        if let Err(source @ (ObjectError::Outside(_) | ObjectError::Words(_))) = admitted {
            return Err(ManifestError::NotAdmitted {
                file,
                line: document.key("").line,
                source: Box::new(source),
            });
        }
        objects.push(document.value);
    }
    run.taken_up(&file, &objects);
    Ok(objects)
}

/// Returns the objects of `<behaviour>.<name>.yaml` with placeholders replaced.
///
/// # Errors
/// [`ManifestError`]: there is no such file, or it is not valid YAML.
pub fn manifest(run: &Run<'_>, name: &str) -> Result<Vec<Value>, ManifestError> {
    let (_, documents) = documents(run, name)?;
    Ok(documents.into_iter().map(|one| one.value).collect())
}

/// Returns the path and the documents of `<behaviour>.<name>.yaml`, with placeholders replaced.
fn documents(run: &Run<'_>, name: &str) -> Result<(String, Vec<Object>), ManifestError> {
    let file = run.loaded.config(name)?;
    let file = file.ok_or_else(|| ManifestError::Missing(run.loaded.config_path(name)))?;
    let text = expand(run, &run.ctx.text(&file.file, file.text));
    let objects = objects::objects(&text).map_err(|source| ManifestError::Yaml {
        file: file.file.clone(),
        source,
    })?;
    objects
        .iter()
        .for_each(|object| run.ctx.redactor.register_object(&object.value));
    Ok((file.file, objects))
}

/// Returns the text with its placeholders replaced.
pub fn expand(run: &Run<'_>, text: &str) -> String {
    manifest::expand(text, &run.ns.names())
}

/// Scales a workload, and returns when it has the expected pods and every proxy knows them.
pub async fn scale(run: &Run<'_>, scale: &Scale) -> Result<(), Stop> {
    run.ns.guard.ask(&scale.workload);
    let (workload, replicas) = (scale.workload.as_str(), scale.replicas);
    let maker = run.ns.controllers.get(workload).copied();
    let maker = maker.ok_or_else(|| StepError::NoMaker(workload.to_owned()))?;
    let (client, namespace) = (&run.ctx.client, &run.ns.name);
    maker.scale(client, namespace, workload, replicas).await?;
    run.ns.await_pods(run.ctx, workload, replicas).await?;
    known(run).await
}

/// Waits until every proxy knows the pods that are ready now.
async fn known(run: &Run<'_>) -> Result<(), Stop> {
    let gateway = probe::uses_gateway(run.ctx, run.loaded);
    Ok(run.ns.await_known(run.ctx, gateway).await?)
}

/// Deletes the pods of a workload one by one. Each is replaced and known to every proxy before
/// the next is deleted. Pods are identified by UID, because a pod of a StatefulSet keeps its
/// name.
pub async fn restart(run: &Run<'_>, workload: &str) -> Result<(), Stop> {
    run.ns.guard.ask(workload);
    let api: Api<Pod> = Api::namespaced(run.ctx.client.clone(), &run.ns.name);
    let all = run.ctx.pods.of(&run.ns.name);
    let mine = all
        .iter()
        .filter(|pod| pods::label(pod, WORKLOAD_LABEL) == Some(workload));
    let mine: Vec<(String, Option<String>)> = mine.map(|pod| (pod.name_any(), pod.uid())).collect();
    let count = u32::try_from(mine.len()).unwrap_or(u32::MAX);
    for (pod, uid) in mine {
        let exactly = DeleteParams {
            preconditions: Some(Preconditions {
                uid: uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        api.delete(&pod, &exactly)
            .await
            .map_err(|error| RestartError::Pod {
                pod: pod.clone(),
                error: Box::new(error),
            })?;
        let gone = |pods: &[Pod]| !pods.iter().any(|other| other.uid() == uid);
        let limit = timeouts().pods.gone;
        let waited = run.ctx.pods.until(&run.ns.name, limit, gone).await;
        if let Err(last) = waited {
            let last = pods::describe(&run.ctx.client, &last).await;
            return Err(RestartError::Stays { pod, limit, last }.into());
        }
        run.ns.await_pods(run.ctx, workload, count).await?;
        known(run).await?;
    }
    Ok(())
}
