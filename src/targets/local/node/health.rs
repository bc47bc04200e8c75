//! The gRPC health check of a probe.

use bytes::Bytes;

use super::{
    probe_action::{USER_AGENT, connect},
    probe_failure::ProbeFailure,
};

/// `grpc.health.v1.Health/Check`; success is the status SERVING.
pub(super) async fn grpc_health(host: &str, port: u16, service: &str) -> Result<(), ProbeFailure> {
    let stream = connect(host, port).await?;
    let say = |source| ProbeFailure::Health {
        host: host.to_owned(),
        port,
        source,
    };
    let (sender, connection) = h2::client::handshake(stream).await.map_err(say)?;
    let connection = tokio::spawn(connection);
    let result = async {
        let request =
            http::Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("user-agent", USER_AGENT)
                .body(())?;
        let (response, mut body) = sender
            .ready()
            .await
            .map_err(say)?
            .send_request(request, false)
            .map_err(say)?;
        body.send_data(health_request(service), true).map_err(say)?;
        let response = response.await.map_err(say)?;
        let in_headers = grpc_status(response.headers());
        let mut incoming = response.into_body();
        let mut message = Vec::new();
        while let Some(chunk) = incoming.data().await {
            message.extend_from_slice(&chunk.map_err(say)?);
        }
        let in_trailers = incoming
            .trailers()
            .await
            .map_err(say)?
            .as_ref()
            .and_then(grpc_status);
        match in_trailers.or(in_headers).as_deref() {
            Some("0") => {}
            Some(code) => {
                return Err(ProbeFailure::GrpcStatus {
                    host: host.to_owned(),
                    port,
                    code: code.to_owned(),
                });
            }
            None => {
                let host = host.to_owned();
                return Err(ProbeFailure::NoGrpcStatus { host, port });
            }
        }
        // field 1 of HealthCheckResponse, after the 5 bytes of the gRPC frame; SERVING is 1
        match message.get(5..) {
            Some([0x08, 0x01, ..]) => Ok(()),
            other => Err(ProbeFailure::NotServing(other.map(<[u8]>::to_vec))),
        }
    };
    let result = result.await;
    connection.abort();
    result
}

fn grpc_status(headers: &http::HeaderMap) -> Option<String> {
    headers
        .get("grpc-status")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

/// A gRPC frame with a `HealthCheckRequest`, whose only field is the service's name.
fn health_request(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(
        &u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    frame.extend(message);
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::whole_server("", &[0, 0, 0, 0, 0])]
    #[case::service("ab", &[0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b'])]
    fn the_health_request_is_framed(#[case] service: &str, #[case] expected: &[u8]) {
        assert_eq!(&health_request(service)[..], expected);
    }
}
