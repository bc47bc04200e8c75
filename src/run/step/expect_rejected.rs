//! The verb `expect-rejected`: configuration that must be rejected.

use super::configuration;
use crate::{
    cluster::object::{ObjectError, Written},
    mesh::istio::propagation::change::PropagationError,
    run::{namespace::error::NamespaceError, probe, state::Run, stop::Stop},
    scenario::verb::{
        Verb as _,
        expect_rejected::{ExpectRejected, RejectedBy},
    },
    verdict::outcome::{Check, CheckResult},
};

/// What rejected an object (`None`: it was accepted), and the message.
type Answer = (Option<RejectedBy>, String);

/// Applies every object of the file and checks that it is rejected. Objects that are accepted are
/// deleted again.
///
/// # Errors
/// The API server does not answer, or proxies do not have the remaining configuration in time.
pub async fn refused(run: &Run<'_>, step: &ExpectRejected) -> Result<Check, Stop> {
    let answers = match step.by {
        RejectedBy::Proxy => vec![by_proxy(run, step).await?],
        _ => by_server(run, step).await?,
    };
    Ok(check(step, &answers))
}

async fn by_server(run: &Run<'_>, step: &ExpectRejected) -> Result<Vec<Answer>, Stop> {
    let mut all = Vec::new();
    for document in configuration::admitted(run, &step.apply).await? {
        let writer = &run.ctx.writer;
        match writer.apply(&document, run.ns.home()).await {
            Ok(written) => {
                let taken = format!("{} {} was accepted", written.kind, written.name);
                writer.delete(&written).await?;
                all.push((None, taken));
            }
            Err(error) => match who(&error) {
                Some(by) => all.push((Some(by), error.to_string())),
                None => return Err(error.into()),
            },
        }
    }
    Ok(all)
}

/// Sends the file to the proxies, reads their answer, and deletes it again.
async fn by_proxy(run: &Run<'_>, step: &ExpectRejected) -> Result<Answer, Stop> {
    let objects = configuration::admitted(run, &step.apply).await?;
    let gateway = probe::uses_gateway(run.ctx, run.loaded);
    let (ctx, ns) = (run.ctx, &run.ns);
    let answer = match ns.change(ctx, objects.clone(), Vec::new(), gateway).await {
        Ok(_) => (None, "every proxy accepted it".to_owned()),
        Err(NamespaceError::Live(PropagationError::Nack { proxy, message })) => {
            (Some(RejectedBy::Proxy), format!("{proxy}: {message}"))
        }
        Err(NamespaceError::Live(PropagationError::Object(error))) => {
            return match who(&error) {
                Some(by) => Ok((Some(by), error.to_string())),
                None => Err(NamespaceError::Live(PropagationError::Object(error)).into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    // Applying an object again does not change it, but returns its identity.
    let mut written: Vec<Written> = Vec::new();
    for object in &objects {
        written.push(ctx.writer.apply(object, ns.home()).await?);
    }
    ns.change(ctx, Vec::new(), written, gateway).await?;
    Ok(answer)
}

/// Returns what rejected the object. `None`: the request itself failed.
fn who(error: &ObjectError) -> Option<RejectedBy> {
    match error {
        ObjectError::NoSuchKind { .. } => Some(RejectedBy::UnknownKind),
        ObjectError::Refused { message, .. } if message.contains("admission webhook") => {
            Some(RejectedBy::Webhook)
        }
        ObjectError::Refused { .. } => Some(RejectedBy::Schema),
        ObjectError::Api { .. }
        | ObjectError::Shape(_)
        | ObjectError::Words(_)
        | ObjectError::Outside(_)
        | ObjectError::Unnoted { .. }
        | ObjectError::Foreign { .. }
        | ObjectError::Conflict { .. } => None,
    }
}

fn check(step: &ExpectRejected, all: &[Answer]) -> Check {
    let good = |(by, message): &Answer| {
        *by == Some(step.by) && step.says.as_ref().is_none_or(|says| message.contains(says))
    };
    let result = if !all.is_empty() && all.iter().all(good) {
        CheckResult::Holds
    } else {
        CheckResult::Refuted
    };
    let says = step
        .says
        .as_ref()
        .map(|says| format!(", saying \"{says}\""));
    let actual: Vec<&str> = all.iter().map(|(_, message)| message.as_str()).collect();
    Check {
        probe: format!("apply {}", step.apply),
        matcher: ExpectRejected::NAME.to_owned(),
        expected: format!(
            "rejected by {}{}",
            step.by.describe(),
            says.unwrap_or_default()
        ),
        actual: actual.join("; "),
        result,
        contrast: false,
        samples: all.len() as u64,
        method: String::new(),
        alpha: None,
        class: None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some(RejectedBy::Schema), "unknown protocol", CheckResult::Holds)]
    #[case(Some(RejectedBy::Webhook), "unknown protocol", CheckResult::Refuted)]
    #[case(Some(RejectedBy::Schema), "something else", CheckResult::Refuted)]
    #[case(None, "Gateway a was accepted, unknown protocol", CheckResult::Refuted)]
    fn refusal_author_and_words_count(
        #[case] by: Option<RejectedBy>,
        #[case] message: &str,
        #[case] result: CheckResult,
    ) {
        let step = ExpectRejected {
            apply: "broken".into(),
            by: RejectedBy::Schema,
            says: Some("unknown protocol".into()),
        };
        assert_eq!(check(&step, &[(by, message.to_owned())]).result, result);
        assert_eq!(check(&step, &[]).result, CheckResult::Refuted);
    }

    #[test]
    fn a_webhook_is_told_from_a_schema() {
        let refused = |message: &str| ObjectError::Refused {
            kind: "Gateway".into(),
            name: "a".into(),
            code: 400,
            message: message.into(),
        };
        let webhook = refused("admission webhook \"validation.istio.io\" denied the request: no");
        assert_eq!(who(&webhook), Some(RejectedBy::Webhook));
        assert_eq!(
            who(&refused("Gateway \"a\" is invalid: spec")),
            Some(RejectedBy::Schema)
        );
    }
}
