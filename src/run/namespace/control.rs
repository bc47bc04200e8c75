//! The control call: a plain call from the scenario's caller to a server that no scenario
//! configures. If it fails, the fault is in the caller, the network or the machine, and nothing
//! is known about the mesh.
//!
//! It must not depend on what is under test: a `Sidecar`, REGISTRY_ONLY or a rule for all hosts
//! may correctly prevent a proxy from reaching the control server. So it goes to a port that
//! Istio's redirection excludes for every caller (the pod annotation
//! `traffic.sidecar.istio.io/excludeOutboundPorts`): it bypasses the proxy, but still uses the
//! pod's network.

use serde_json::{Value, json};
use testbed::control::{CONTROL_PORT, CallPlan, Origin, RunLine};

use super::{error::NamespaceError, scenario_namespace::ScenarioNamespace};
use crate::{
    errors::{Classified, ErrorClass},
    mesh::istio::injection::{CONTROL_SERVICE_PORT, EXCLUDED_PORTS},
    observe::testbed::{self as bed, CallerError},
    run::context::RunContext,
    scenario::{loaded::LoadedScenario, workload_file},
};

/// Excludes the control port from redirection in a caller's pods. Ports that its file or scenario
/// excludes stay excluded.
#[must_use]
pub fn past_the_proxy(mut object: Value) -> Value {
    let Some(metadata) = object.pointer_mut("/spec/template/metadata") else {
        return object;
    };
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    let excluded = &mut metadata["annotations"][EXCLUDED_PORTS];
    *excluded = match excluded.as_str() {
        Some(ports) if !ports.trim().is_empty() => json!(format!("{ports},{CONTROL_SERVICE_PORT}")),
        _ => json!(CONTROL_SERVICE_PORT.to_string()),
    };
    object
}

/// Adds the port that only control calls use to the control server's Service.
#[must_use]
pub fn with_port(mut object: Value) -> Value {
    if object["kind"] == "Service"
        && let Some(ports) = object
            .pointer_mut("/spec/ports")
            .and_then(Value::as_array_mut)
        && let Some(target) = ports.first().map(|port| port["targetPort"].clone())
    {
        ports.push(
            json!({"name": "tcp-control", "port": CONTROL_SERVICE_PORT, "targetPort": target}),
        );
    }
    object
}

/// An error of the control call: nothing is known about the mesh.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Place(#[from] NamespaceError),
    #[error("the control call could not be made")]
    Caller(#[source] CallerError),
    #[error("the control call of {workload} to a plain server failed: {message}")]
    Failed { workload: String, message: String },
}

impl Classified for ControlError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Place(error) => error.class(),
            Self::Caller(error) => error.class(),
            Self::Failed { .. } => ErrorClass::Harness,
        }
    }
}

/// Makes the control call from every caller of the scenario.
///
/// # Errors
/// [`ControlError`], with the caller and the status of its call.
pub async fn check(
    ctx: &RunContext,
    ns: &ScenarioNamespace,
    loaded: &LoadedScenario,
) -> Result<(), ControlError> {
    for workload in loaded
        .scenario
        .workloads
        .iter()
        .filter(|workload| workload_file::is_caller(loaded, &workload.template))
    {
        let pod = ns.pod(ctx, &workload.name)?;
        let id = format!("{}-control-{}", ns.lease, workload.name);
        let plan = CallPlan::new(id, ctx.mesh.control.clone(), "mypackage.Greeter/SayHello");
        let mut failure = Some("no call was observed".to_owned());
        let caller = ctx.port(&ns.name, &pod, CONTROL_PORT);
        let each = |line| {
            if let RunLine::Call(call) = line {
                let status = &call.status;
                let fine = status.code == 0 && status.origin == Origin::Wire;
                failure = (!fine).then(|| format!("status {} {}", status.code, status.message));
            }
            true
        };
        bed::run(&caller, &plan, each)
            .await
            .map_err(ControlError::Caller)?;
        if let Some(message) = failure {
            let workload = workload.name.clone();
            return Err(ControlError::Failed { workload, message });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::istio::injection::CONTROL_PORT_EXCLUDED;

    fn excluded(annotations: Value) -> Value {
        let object = json!({"kind": "Deployment", "spec": {"template": {"metadata": {"annotations": annotations}}}});
        past_the_proxy(object)["spec"]["template"]["metadata"]["annotations"][EXCLUDED_PORTS]
            .clone()
    }

    #[test]
    fn control_calls_go_past_the_proxy_whatever_else_does() {
        assert_eq!(excluded(Value::Null), CONTROL_PORT_EXCLUDED);
        assert_eq!(CONTROL_PORT_EXCLUDED, CONTROL_SERVICE_PORT.to_string());
        assert_eq!(excluded(json!({EXCLUDED_PORTS: "3306"})), "3306,15996");
        let service = json!({"kind": "Service", "spec": {}});
        assert_eq!(past_the_proxy(service.clone()), service);
    }

    #[test]
    fn the_control_servers_service_has_a_port_of_its_own() {
        let service = json!({"kind": "Service", "spec": {"ports": [{"name": "grpc", "port": 50051, "targetPort": 50051}]}});
        let port = with_port(service)["spec"]["ports"][1].clone();
        assert_eq!(
            (&port["port"], &port["targetPort"]),
            (&json!(CONTROL_SERVICE_PORT), &json!(50051))
        );
    }
}
