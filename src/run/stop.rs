//! Why a step did not come to its end.

use super::namespace::error::PlaceError;
use crate::verdict::outcome::Check;

/// What ends a scenario before its last step.
#[derive(Debug)]
pub enum Stop {
    /// Nothing is known of the mesh, in words: ERROR.
    Unknown(String),
    /// The mesh did not do its part: the claim that it violates, FAIL.
    Fault(Box<Check>),
}

impl From<String> for Stop {
    fn from(words: String) -> Self {
        Self::Unknown(words)
    }
}

impl From<PlaceError> for Stop {
    fn from(error: PlaceError) -> Self {
        match error.fault() {
            Some(check) => Self::Fault(Box::new(check)),
            None => Self::Unknown(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{
        mesh::istio::endpoints::{EndpointsError, Withheld},
        verdict::{conclude::scenario_verdict, outcome::Verdict},
    };

    fn withheld() -> Withheld {
        Withheld {
            who: "proxy caller-1".to_owned(),
            what: "cluster outbound|50051||greeter.ns.svc.cluster.local".to_owned(),
            wanted: BTreeSet::from(["10.0.0.1:50051".to_owned()]),
            seen: BTreeSet::new(),
            limit: Duration::from_secs(20),
        }
    }

    #[test]
    fn an_endpoint_that_the_mesh_withholds_is_a_fail_that_names_it() {
        let Stop::Fault(check) = PlaceError::from(EndpointsError::Withheld(withheld())).into()
        else {
            panic!("no fault of the mesh");
        };
        let (verdict, cause) = scenario_verdict(&[*check], &[], None);
        assert_eq!(verdict, Verdict::Fail);
        for word in ["caller-1", "greeter.ns", "10.0.0.1:50051"] {
            assert!(cause.contains(word), "{cause}");
        }
    }

    #[test]
    fn what_nobody_can_tell_is_no_fault() {
        let error = EndpointsError::Unknown("connection refused".to_owned());
        assert!(matches!(
            Stop::from(PlaceError::from(error)),
            Stop::Unknown(_)
        ));
    }
}
