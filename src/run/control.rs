//! The control call: a plain call from the scenario's caller to a server that no scenario configures. When it fails, caller,
//! network or machine is at fault, and nothing can be said of the mesh.

use testbed::control::{CONTROL_PORT, CallPlan, Origin, RunLine};

use super::{context::Context, place::Place};
use crate::{observe::testbed as bed, scenario::Loaded};

/// Makes the control call from every caller of the scenario.
///
/// # Errors
/// In words: who called, and what came back.
pub async fn check(ctx: &Context, place: &Place, loaded: &Loaded) -> Result<(), String> {
    for workload in loaded
        .scenario
        .world
        .iter()
        .filter(|workload| workload.uses.starts_with("caller"))
    {
        let pod = place
            .pod(ctx, &workload.name)
            .map_err(|error| error.to_string())?;
        let id = format!("{}-control-{}", place.namespace, workload.name);
        let plan = CallPlan::new(id, ctx.control.clone(), "mypackage.Greeter/SayHello");
        let mut failure = Some("no call was observed".to_owned());
        let caller = ctx.port(&place.namespace, &pod, CONTROL_PORT);
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
            .map_err(|error| format!("control call: {error}"))?;
        if let Some(words) = failure {
            return Err(format!(
                "the control call of {} to a plain server failed: {words}",
                workload.name
            ));
        }
    }
    Ok(())
}
