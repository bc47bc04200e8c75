//! The test bed's collector as an auxiliary service: always as a process, and as a container if a
//! Docker engine answers.
//!
//! The container's test is ignored by default (run it with `cargo test --features containers
//! --test it -- --ignored side::`); it fails if no engine answers. It builds its own image and
//! pulls nothing.

use std::{collections::BTreeSet, net::Ipv4Addr, path::Path, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use meshproof::aux_service::{AuxService, AuxServiceSpec, HostProgram, ReadinessCheck};
use tokio::net::TcpStream;

const OTLP: u16 = 4317;
const ZIPKIN: u16 = 9411;
const CONTROL: u16 = 15999;

fn testbed() -> std::path::PathBuf {
    let meshproof = Path::new(env!("CARGO_BIN_EXE_meshproof"));
    let testbed = meshproof.with_file_name("testbed");
    assert!(
        testbed.is_file(),
        "{} is missing: cargo build --workspace --bins",
        testbed.display()
    );
    testbed
}

/// The same specification for both ways.
fn collector(run: &str) -> AuxServiceSpec {
    let message = "collector --bind {address} --otlp-port {4317} --zipkin-port {9411} --control-bind {address} --control-port {15999}";
    AuxServiceSpec {
        name: "collector".to_owned(),
        run: run.to_owned(),
        image: None,
        program: None,
        args: message.split(' ').map(str::to_owned).collect(),
        env: vec![("WORKLOAD".to_owned(), "side".to_owned())],
        ports: vec![OTLP, ZIPKIN, CONTROL],
        listen: Ipv4Addr::LOCALHOST,
        network: None,
        data: None,
        ready: ReadinessCheck::Http {
            port: CONTROL,
            path: "/v1/info".to_owned(),
        },
        deadline: Duration::from_secs(60),
    }
}

fn address(side: &AuxService, port: u16) -> String {
    side.endpoint(port).expect("one of its ports").to_string()
}

/// One field of a protobuf message: its number, and its bytes with their length (all shorter than
/// 128).
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("short");
    assert!(length < 128);
    [&[number << 3 | 2, length], bytes].concat()
}

/// `ExportTraceServiceRequest` (opentelemetry-proto) with one span of this name and trace id.
fn export_request(name: &str, trace: [u8; 16]) -> Vec<u8> {
    let span = [
        field(1, &trace),
        field(2, &[7; 8]),
        field(5, name.as_bytes()),
    ]
    .concat();
    field(1, &field(2, &field(2, &span)))
}

/// A unary gRPC call made with HTTP/2 only.
async fn export(to: &str, message: &[u8]) {
    let stream = TcpStream::connect(to).await.expect("it is ready");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::post(format!(
        "http://{to}/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .body(())
    .expect("a request");
    let mut client = client.ready().await.expect("a stream");
    let (answer, mut body) = client.send_request(request, false).expect("sent");
    let mut frame = BytesMut::new();
    frame.put_u8(0); // not compressed
    frame.put_u32(u32::try_from(message.len()).expect("short"));
    frame.put_slice(message);
    body.send_data(frame.freeze(), true).expect("sent");
    let mut answer = answer.await.expect("an answer").into_body();
    while let Some(data) = answer.data().await {
        let data: Bytes = data.expect("data");
        let _ = answer.flow_control().release_capacity(data.len());
    }
    let trailers = answer.trailers().await.expect("read").expect("trailers");
    assert_eq!(trailers.get("grpc-status").expect("a status"), "0");
}

async fn report(to: &str, name: &str, trace: &str) {
    let span = format!(
        r#"[{{"traceId":"{trace}","id":"0000000000000009","name":"{name}","kind":"CLIENT","localEndpoint":{{"serviceName":"front"}}}}]"#
    );
    let (head, _) = exchange(to, "POST", "/api/v2/spans", &span).await;
    assert!(head.starts_with("HTTP/1.1 202"), "{head}");
}

/// Sends a request over a new connection; returns head and body of the response.
async fn exchange(to: &str, method: &str, path: &str, body: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = TcpStream::connect(to).await.expect("it is ready");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// Sends a span by each protocol and reads both back. Used for a process and a container.
async fn takes_spans(side: &AuxService) {
    export(&address(side, OTLP), &export_request("by-otlp", [0xab; 16])).await;
    let trace = "cd".repeat(16);
    report(&address(side, ZIPKIN), "by-zipkin", &trace).await;
    let (head, body) = exchange(&address(side, CONTROL), "GET", "/v1/spans", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let lines = body.lines().filter(|line| line.starts_with('{'));
    let spans: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).expect("a span a line"))
        .collect();
    let found: BTreeSet<_> = spans
        .iter()
        .map(|span| {
            let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
            (text("protocol"), text("name"), text("trace"))
        })
        .collect();
    let expected = [
        ("otlp", "by-otlp", "ab".repeat(16)),
        ("zipkin", "by-zipkin", trace),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c));
    assert_eq!(found, BTreeSet::from(expected), "{body}");
}

#[tokio::test]
async fn a_collector_that_is_a_process_takes_spans() {
    let mut system = collector("process");
    system.program = Some(HostProgram { path: testbed() });
    let side = AuxService::start(&system).await.expect("it starts");
    takes_spans(&side).await;
    let control = address(&side, CONTROL);
    side.stop().await;
    assert!(TcpStream::connect(control).await.is_err(), "it is stopped");
}

#[cfg(feature = "containers")]
mod containers {
    use std::path::PathBuf;

    use futures::StreamExt as _;
    use meshproof::{
        aux_service::{AuxServiceError, ContainerImage, LABEL},
        image,
        toolchain::stock,
    };
    use testcontainers::{
        bollard::{
            Docker,
            query_parameters::{
                ImportImageOptionsBuilder, ListContainersOptionsBuilder, RemoveImageOptions,
            },
        },
        core::client::docker_client_instance,
    };

    use super::*;

    const NAME: &str = "local/testbed:side-test";
    const WHY: &str = "this test needs a Docker engine (DOCKER_HOST, else /var/run/docker.sock)";

    async fn engine() -> Docker {
        let engine = docker_client_instance().await.expect(WHY);
        engine.ping().await.expect(WHY);
        engine
    }

    /// Writes the test bed's image under a name of this test and loads it into the engine.
    async fn load(engine: &Docker, name: &str) -> image::WrittenImage {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = dir.path().join("testbed.tar");
        let mut testbed = stock::testbed(&testbed());
        testbed.name = name.to_owned();
        let written = image::write(&testbed, &archive).expect("an archive");
        let bytes = tokio::fs::read(&archive).await.expect("it is there");
        let options = ImportImageOptionsBuilder::default().build();
        let body = testcontainers::bollard::body_full(bytes.into());
        let mut answer = engine.import_image(options, body, None);
        while let Some(line) = answer.next().await {
            line.expect("the engine takes the archive");
        }
        written
    }

    async fn labelled(engine: &Docker, run: &str) -> usize {
        let filter = std::collections::HashMap::from([("label", vec![format!("{LABEL}={run}")])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filter)
            .build();
        let found = engine.list_containers(Some(options)).await;
        found.expect("a list").len()
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a Docker engine"]
    async fn a_collector_that_is_a_container_takes_spans() {
        let engine = engine().await;
        let written = load(&engine, NAME).await;
        let there = engine.inspect_image(NAME).await.expect("it was loaded");
        assert_eq!(there.id.as_deref(), Some(written.id.as_str()));
        let layers = there.root_fs.and_then(|root| root.layers);
        assert_eq!(layers, Some(vec![written.layer]));

        let run = format!("container-{}", std::process::id());
        let mut system = collector(&run);
        system.image = Some(ContainerImage {
            name: NAME.to_owned(),
            pull: false,
        });
        system.program = Some(HostProgram {
            path: PathBuf::from("/does/not/exist"),
        });
        let side = AuxService::start(&system).await.expect("it starts");
        assert!(side.is_container());
        assert_eq!(labelled(&engine, &run).await, 1);
        takes_spans(&side).await;
        drop(side);
        assert_eq!(labelled(&engine, &run).await, 0, "it outlived its service");

        // A container that is never ready, and one that exits, leave nothing behind either.
        system.program = None;
        let begun = system.clone();
        system.ready = ReadinessCheck::Log("never said".to_owned());
        system.deadline = Duration::from_secs(3);
        let answer = AuxService::start(&system).await.err().expect("not ready");
        assert!(
            answer.to_string().contains("not ready within 3s"),
            "{answer}"
        );
        system.ready = begun.ready;
        system.args = vec!["no-such-command".to_owned()];
        let answer = AuxService::start(&system).await.err().expect("it ends");
        assert!(answer.to_string().contains("exit code 2"), "{answer}");
        assert!(answer.to_string().contains("no-such-command"), "{answer}");
        assert_eq!(labelled(&engine, &run).await, 0);
        let removed = engine
            .remove_image(NAME, None::<RemoveImageOptions>, None)
            .await;
        removed.expect("nothing uses it");
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a Docker engine"]
    async fn an_image_that_is_not_there_is_not_pulled() {
        engine().await;
        let mut system = collector("absent");
        let image = ContainerImage {
            name: "local/not-there:1".to_owned(),
            pull: false,
        };
        let refused = AuxService::from_image(&system, &image).await.err();
        assert!(matches!(refused, Some(AuxServiceError::NoImage { .. })));
        // If there is a program too, it is used instead of the image.
        system.image = Some(image);
        system.program = Some(HostProgram { path: testbed() });
        let side = AuxService::start(&system).await.expect("it starts");
        assert!(!side.is_container());
    }
}
