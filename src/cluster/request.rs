//! Errors of requests to an API server, and their classes.

use std::time::Duration;

use crate::errors::{Classified, ErrorClass};

/// An error of a request to an API server.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request was rejected, or never arrived.
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("no response within {0:?}")]
    Silent(Duration),
}

impl Classified for RequestError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Api(error) => error.class(),
            Self::Silent(_) => ErrorClass::Mesh,
        }
    }
}

/// Whether an HTTP status means that the API server cannot do its work now, whatever the request
/// (RFC 9110, RFC 6585).
pub fn is_failure(code: u16) -> bool {
    code >= 500 || code == 429
}

/// The API server belongs to the cluster that the mesh runs in. If it forbids something, the
/// given credentials are at fault; if it does not understand a request, the sender is.
impl Classified for kube::Error {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Api(status) => match status.code {
                401 | 403 => ErrorClass::Input,
                code if is_failure(code) => ErrorClass::Mesh,
                _ => ErrorClass::Harness,
            },
            Self::BuildRequest(_) | Self::HttpError(_) => ErrorClass::Harness,
            Self::Auth(_)
            | Self::InferConfig(_)
            | Self::ProxyProtocolUnsupported { .. }
            | Self::ProxyProtocolDisabled { .. }
            | Self::RustlsTls(_)
            | Self::TlsRequired => ErrorClass::Input,
            _ => ErrorClass::Mesh,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[rstest::rstest]
    #[case::not_known(401, ErrorClass::Input)]
    #[case::not_allowed(403, ErrorClass::Input)]
    #[case::not_there(404, ErrorClass::Harness)]
    #[case::too_many(429, ErrorClass::Mesh)]
    #[case::broken(500, ErrorClass::Mesh)]
    #[case::overloaded(503, ErrorClass::Mesh)]
    fn a_refusal_is_the_trouble_of_whoever_can_mend_it(
        #[case] code: u16,
        #[case] class: ErrorClass,
    ) {
        let status = Status::failure("no", "Reason").with_code(code);
        let error = RequestError::Api(kube::Error::Api(status.boxed()));
        assert_eq!(error.class(), class);
    }

    #[test]
    fn an_api_server_that_says_nothing_is_the_clusters_trouble() {
        let silent = RequestError::Silent(Duration::from_secs(10));
        assert_eq!(silent.class(), ErrorClass::Mesh);
        assert_eq!(silent.to_string(), "no response within 10s");
        let broken = kube::Error::Service("connection refused".into());
        assert_eq!(broken.class(), ErrorClass::Mesh);
        let unreadable = serde_json::from_str::<u8>("{").expect_err("not a number");
        assert_eq!(
            kube::Error::SerdeError(unreadable).class(),
            ErrorClass::Mesh
        );
    }
}
