//! Reasons for which a scenario ends before its last step.

use super::step::error::StepError;
use crate::verdict::outcome::Check;

/// A reason for which a scenario ends before its last step.
#[derive(Debug)]
pub enum Stop {
    /// The claim cannot be judged: ERROR.
    Unknown(Box<StepError>),
    /// The mesh violates a claim, which is in the check: FAIL.
    Fault(Box<Check>),
}

impl<E: Into<StepError>> From<E> for Stop {
    fn from(error: E) -> Self {
        let error = error.into();
        let fault = match &error {
            StepError::Place(error) => error.fault(),
            _ => None,
        };
        match fault {
            Some(check) => Self::Fault(Box::new(check)),
            None => Self::Unknown(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{
        errors::{ErrorClass, Trouble},
        mesh::istio::propagation::endpoints::{EndpointsError, Withheld},
        run::namespace::error::NamespaceError,
        verdict::{
            conclude::{Conclusion, scenario_verdict},
            outcome::Verdict,
        },
    };

    fn withheld() -> Withheld {
        Withheld {
            who: "proxy caller-1".to_owned(),
            what: "cluster outbound|50051||greeter.ns.svc.cluster.local".to_owned(),
            expected: BTreeSet::from(["10.0.0.1:50051".to_owned()]),
            seen: BTreeSet::new(),
            limit: Duration::from_secs(20),
        }
    }

    #[test]
    fn an_endpoint_that_the_mesh_withholds_is_a_fail_that_names_it() {
        let Stop::Fault(check) = NamespaceError::from(EndpointsError::Withheld(withheld())).into()
        else {
            panic!("not a fault of the mesh");
        };
        let Conclusion { verdict, cause, .. } = scenario_verdict(&[*check], &[], None);
        assert_eq!(verdict, Verdict::Fail);
        for word in ["caller-1", "greeter.ns", "10.0.0.1:50051"] {
            assert!(cause.contains(word), "{cause}");
        }
    }

    #[test]
    fn what_nobody_can_tell_is_no_fault() {
        let error = EndpointsError::Excused {
            cause: Trouble::new("this machine stalled for 9000 ms", ErrorClass::Machine),
            withheld: withheld(),
        };
        assert!(matches!(
            Stop::from(NamespaceError::from(error)),
            Stop::Unknown(_)
        ));
    }
}
