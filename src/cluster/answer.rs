//! The API server's response to a write: the object, and the warnings of the server and its
//! webhooks.

use http::{HeaderMap, Request, header::WARNING};
use http_body_util::BodyExt as _;
use kube::{
    Client,
    api::DynamicObject,
    client::Body,
    core::{Status, request},
};

/// The stored object, with warnings in the order in which they arrived.
#[derive(Debug, Clone)]
pub struct Answer {
    pub object: DynamicObject,
    pub warnings: Vec<String>,
}

/// Sends a write. `kube::Api` does the same but drops the headers.
///
/// # Errors
/// The same as `kube::Api`.
pub async fn ask(
    client: &Client,
    request: Result<Request<Vec<u8>>, request::Error>,
) -> Result<Answer, kube::Error> {
    let request = request.map_err(kube::Error::BuildRequest)?;
    let (parts, body) = client.send(request.map(Body::from)).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    if !parts.status.is_success() {
        let status = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&body);
            Status::failure(text.trim(), "no status").with_code(parts.status.as_u16())
        });
        return Err(kube::Error::Api(status.boxed()));
    }
    Ok(Answer {
        object: serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?,
        warnings: warnings(&parts.headers),
    })
}

/// Texts of `Warning: 299 - "TEXT"` (RFC 7234 section 5.5; Kubernetes sends no other code). A
/// quote inside is `\"`.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(WARNING).iter();
    let text = |value: &http::HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (_, rest) = value.split_once('"')?;
        let (text, _) = rest.rsplit_once('"')?;
        Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
    };
    all.filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warning_is_read_with_its_quotes() {
        let mut headers = HeaderMap::new();
        let mut add = |text: &str| headers.append(WARNING, text.parse().expect("a header"));
        add(r#"299 - "unknown field \"spec.hots\"""#);
        add(
            r#"299 istiod "EnvoyFilter: using relative patch operations" "Sat, 25 Aug 2012 23:34:45 GMT""#,
        );
        add("no warning");
        let found = warnings(&headers);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], r#"unknown field "spec.hots""#);
        assert!(
            found[1].starts_with("EnvoyFilter: using relative"),
            "{found:?}"
        );
    }
}
