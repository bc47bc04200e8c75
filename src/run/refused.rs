//! The verb `refused`: configuration that must not be taken.

use super::{scenario::Run, steps};
use crate::{
    cluster::object::{self, ObjectError},
    scenario::model_tls::{Refused, RefusedBy},
    verdict::outcome::{Check, CheckResult},
};

/// Applies every object of the file and says who refused it. What is taken all the same is deleted again.
///
/// # Errors
/// In words: the API server does not answer.
pub async fn refused(run: &Run<'_>, step: &Refused) -> Result<Check, String> {
    let mut all = Vec::new();
    for document in steps::manifest(run, &step.apply)? {
        let (client, namespace) = (&run.ctx.client, Some(run.place.namespace.as_str()));
        match object::apply(client, &document, namespace).await {
            Ok(written) => {
                let taken = format!("{} {} was taken", written.kind, written.name);
                object::delete(client, &written)
                    .await
                    .map_err(|error| error.to_string())?;
                all.push((None, taken));
            }
            Err(error) => all.push((
                Some(who(&error).ok_or(error.to_string())?),
                error.to_string(),
            )),
        }
    }
    Ok(check(step, &all))
}

/// `None`: no refusal, but trouble on the way.
fn who(error: &ObjectError) -> Option<RefusedBy> {
    match error {
        ObjectError::NoSuchKind { .. } => Some(RefusedBy::UnknownKind),
        ObjectError::Refused { message, .. } if message.contains("admission webhook") => {
            Some(RefusedBy::Webhook)
        }
        ObjectError::Refused { .. } => Some(RefusedBy::Schema),
        ObjectError::Api { .. } | ObjectError::Shape(_) => None,
    }
}

fn check(step: &Refused, all: &[(Option<RefusedBy>, String)]) -> Check {
    let good = |(by, words): &(Option<RefusedBy>, String)| {
        *by == Some(step.by) && step.says.as_ref().is_none_or(|says| words.contains(says))
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
    let actual: Vec<&str> = all.iter().map(|(_, words)| words.as_str()).collect();
    Check {
        probe: format!("apply {}", step.apply),
        matcher: "refused".to_owned(),
        expected: format!("refused by {}{}", step.by.words(), says.unwrap_or_default()),
        actual: actual.join("; "),
        result,
        contrast: false,
        samples: all.len() as u64,
        method: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some(RefusedBy::Schema), "unknown protocol", CheckResult::Holds)]
    #[case(Some(RefusedBy::Webhook), "unknown protocol", CheckResult::Refuted)]
    #[case(Some(RefusedBy::Schema), "something else", CheckResult::Refuted)]
    #[case(None, "Gateway a was taken, unknown protocol", CheckResult::Refuted)]
    fn refusal_author_and_words_count(
        #[case] by: Option<RefusedBy>,
        #[case] words: &str,
        #[case] result: CheckResult,
    ) {
        let step = Refused {
            apply: "broken".into(),
            by: RefusedBy::Schema,
            says: Some("unknown protocol".into()),
        };
        assert_eq!(check(&step, &[(by, words.to_owned())]).result, result);
        assert_eq!(check(&step, &[]).result, CheckResult::Refuted);
    }

    #[test]
    fn a_webhook_is_told_from_a_schema() {
        let refused = |message: &str| ObjectError::Refused {
            kind: "Gateway".into(),
            name: "a".into(),
            message: message.into(),
        };
        let webhook = refused("admission webhook \"validation.istio.io\" denied the request: no");
        assert_eq!(who(&webhook), Some(RefusedBy::Webhook));
        assert_eq!(
            who(&refused("Gateway \"a\" is invalid: spec")),
            Some(RefusedBy::Schema)
        );
    }
}
