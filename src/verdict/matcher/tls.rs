//! Matchers on handshakes and on the caller's identity as the server's proxy hands it on.

use std::collections::{BTreeMap, BTreeSet};

use testbed::control::{Attempt, Observation, TlsSeen};

use crate::{
    scenario::model::tls::TlsExpect,
    verdict::{
        calls::Calls,
        fields,
        judgement::{Judgement, every},
    },
};

/// Reasons for which there is no connection, besides the alerts of RFC 8446.
const OWN: [&str; 7] = [
    "closed",
    "no-tls",
    "no-listener",
    "untrusted",
    "wrong-name",
    "incompatible",
    "other",
];

/// Alerts of RFC 8446 section 6.2, as suite files write them.
const ALERTS: [&str; 18] = [
    "access-denied",
    "bad-certificate",
    "bad-record-mac",
    "certificate-expired",
    "certificate-required",
    "certificate-unknown",
    "decode-error",
    "decrypt-error",
    "handshake-failure",
    "illegal-parameter",
    "insufficient-security",
    "internal-error",
    "missing-extension",
    "no-application-protocol",
    "protocol-version",
    "unexpected-message",
    "unknown-ca",
    "unrecognised-name",
];

/// Metadata in which a proxy tells the application about the peer's certificate (Envoy documentation, "x-forwarded-client-cert").
const FORWARDED: &str = "x-forwarded-client-cert";

/// Every word that `refused` may hold.
pub fn reasons() -> impl Iterator<Item = &'static str> {
    OWN.into_iter().chain(ALERTS)
}

/// The expectation in words.
pub fn words(wanted: &TlsExpect) -> String {
    let mut parts = Vec::new();
    if let Some(alpn) = &wanted.alpn {
        parts.push(format!("ALPN {alpn}"));
    }
    if let Some(version) = &wanted.version {
        parts.push(format!("TLS {version}"));
    }
    if let Some(name) = &wanted.certificate {
        parts.push(format!("certificate {name}"));
    }
    if let Some(names) = &wanted.names {
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        parts.push(format!("for {}", join(names)));
    }
    if let Some(reason) = &wanted.refused {
        parts.push(format!("refused: {reason}"));
    }
    parts.join(", ")
}

/// Judges the handshake behind every call.
pub fn judge(wanted: &TlsExpect, calls: &Calls<'_>) -> Judgement {
    let known = &calls.seen.certificates;
    every(
        &calls.kept(),
        |call| actual(call, known),
        |call| matches(wanted, call, known),
    )
}

type Certificates = BTreeMap<String, String>;

fn matches(wanted: &TlsExpect, call: &Observation, known: &Certificates) -> bool {
    if let Some(reason) = &wanted.refused {
        return refusal(call).as_deref() == Some(reason.as_str());
    }
    let Some(tls) = &call.tls else {
        return false;
    };
    let alpn = tls.alpn.as_deref().unwrap_or("none");
    let names: BTreeSet<&str> = tls.peer_names.iter().map(String::as_str).collect();
    let serial = |name: &String| known.get(name) == Some(&tls.peer_serial);
    wanted.alpn.as_ref().is_none_or(|wanted| wanted == alpn)
        && wanted.version.as_ref().is_none_or(|v| *v == tls.version)
        && wanted
            .names
            .as_ref()
            .is_none_or(|list| list.iter().map(String::as_str).collect::<BTreeSet<_>>() == names)
        && wanted.certificate.as_ref().is_none_or(serial)
}

fn actual(call: &Observation, known: &Certificates) -> String {
    match (refusal(call), &call.tls) {
        (Some(reason), _) => format!("refused: {reason}"),
        (None, Some(tls)) => shown(tls, known),
        (None, None) => "no TLS".to_owned(),
    }
}

fn shown(tls: &TlsSeen, known: &Certificates) -> String {
    let name = known.iter().find(|(_, serial)| **serial == tls.peer_serial);
    let name = name.map_or("unknown", |(name, _)| name);
    format!(
        "ALPN {}, TLS {}, certificate {name} for {}",
        tls.alpn.as_deref().unwrap_or("none"),
        tls.version,
        join(tls.peer_names.iter().map(String::as_str).collect())
    )
}

fn join(names: BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    names.join(" ")
}

/// How the end of a TCP connection is put in words.
const ENDS: [&str; 5] = [
    "eof",
    "reset by peer",
    "Broken pipe",
    "broken pipe",
    "closed",
];

/// Why a call had no connection; `None` when it had one, or when it ended for another reason.
///
/// With TLS 1.3 a client has finished before the server judges its certificate, so that an alert may come after a handshake that
/// looked good.
pub fn refusal(call: &Observation) -> Option<String> {
    let words = call.transport_error.as_deref()?;
    if let Some((_, rest)) = words.split_once("received fatal alert: ") {
        let name: String = rest
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        return Some(kebab(&name));
    }
    if let Some((_, rest)) = words.split_once("invalid peer certificate: ") {
        let name = rest.to_ascii_lowercase();
        let wrong = name.contains("notvalidforname") || name.contains("not valid for name");
        return Some(if wrong { "wrong-name" } else { "untrusted" }.to_owned());
    }
    let own = if words.contains("connect to ") {
        "no-listener"
    } else if words.contains("peer is incompatible") || words.contains("doesn't support any known")
    {
        "incompatible"
    } else if words.contains("InvalidContentType") {
        "no-tls"
    } else if ENDS.iter().any(|end| words.contains(end)) {
        "closed"
    } else if call.tls.is_some() {
        return None;
    } else {
        "other"
    };
    Some(own.to_owned())
}

/// `CertificateRequired` → `certificate-required`; `UnknownCA` → `unknown-ca`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    let mut before_upper = true;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !before_upper {
            text.push('-');
        }
        before_upper = letter.is_ascii_uppercase();
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// The identity that the server's proxy vouches for: the URI of the last element of [`FORWARDED`], `none` without one.
pub fn identity(attempt: &Attempt) -> String {
    let value = fields::joined(&attempt.metadata, FORWARDED).unwrap_or_default();
    let last = value.rsplit(',').next().unwrap_or_default();
    let uri = last
        .split(';')
        .find_map(|part| part.trim().strip_prefix("URI="));
    uri.unwrap_or("none").trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use testbed::control::Origin;

    use super::*;
    use crate::verdict::testing::{answered, failed};

    #[rstest]
    #[case(
        "TLS handshake with e:443: received fatal alert: ProtocolVersion",
        "protocol-version"
    )]
    #[case(
        "TLS handshake with e:443: received fatal alert: UnknownCA",
        "unknown-ca"
    )]
    #[case(
        "error reading a body: received fatal alert: CertificateRequired",
        "certificate-required"
    )]
    #[case(
        "TLS handshake with e:443: invalid peer certificate: UnknownIssuer",
        "untrusted"
    )]
    #[case(
        "TLS handshake with e:443: invalid peer certificate: certificate not valid for name \"a\"; b",
        "wrong-name"
    )]
    #[case("TLS handshake with e:443: tls handshake eof", "closed")]
    #[case(
        "TLS handshake with e:80: received corrupt message of type InvalidContentType",
        "no-tls"
    )]
    #[case("connect to e:443: Connection refused (os error 111)", "no-listener")]
    fn a_refusal_has_a_name(#[case] words: &str, #[case] reason: &str) {
        let mut call = failed(0, 14, words, Origin::Transport);
        call.transport_error = Some(words.to_owned());
        assert_eq!(refusal(&call).as_deref(), Some(reason));
        assert!(reasons().any(|known| known == reason));
    }

    #[test]
    fn what_goes_wrong_above_tls_is_no_refused_handshake() {
        let mut call = with_tls("01");
        call.transport_error = Some("connection error detected: frame with invalid size".into());
        assert_eq!(refusal(&call), None);
    }

    fn with_tls(serial: &str) -> Observation {
        let mut call = answered(0, "greeter-a", "greeter");
        call.tls = Some(TlsSeen {
            alpn: Some("h2".into()),
            version: "1.3".into(),
            peer_names: vec!["b".into(), "a".into()],
            peer_serial: serial.into(),
        });
        call
    }

    #[rstest]
    #[case(TlsExpect { alpn: Some("h2".into()), ..TlsExpect::default() }, true)]
    #[case(TlsExpect { alpn: Some("none".into()), ..TlsExpect::default() }, false)]
    #[case(TlsExpect { version: Some("1.2".into()), ..TlsExpect::default() }, false)]
    #[case(TlsExpect { names: Some(vec!["a".into(), "b".into()]), ..TlsExpect::default() }, true)]
    #[case(TlsExpect { names: Some(vec!["a".into()]), ..TlsExpect::default() }, false)]
    #[case(TlsExpect { certificate: Some("first".into()), ..TlsExpect::default() }, true)]
    #[case(TlsExpect { certificate: Some("second".into()), ..TlsExpect::default() }, false)]
    #[case(TlsExpect { refused: Some("closed".into()), ..TlsExpect::default() }, false)]
    fn every_field_of_a_handshake_counts(#[case] wanted: TlsExpect, #[case] holds: bool) {
        let known = Certificates::from([
            ("first".to_owned(), "01".to_owned()),
            ("second".to_owned(), "02".to_owned()),
        ]);
        assert_eq!(matches(&wanted, &with_tls("01"), &known), holds);
    }

    #[rstest]
    #[case(
        "By=spiffe://c/ns/n/sa/g;Hash=ab;Subject=\"\";URI=spiffe://c/ns/n/sa/caller",
        "spiffe://c/ns/n/sa/caller"
    )]
    #[case(
        "By=x;URI=spiffe://forged,By=y;Hash=1;URI=spiffe://real",
        "spiffe://real"
    )]
    #[case("", "none")]
    fn the_last_proxy_is_believed(#[case] header: &str, #[case] expected: &str) {
        let mut attempt = crate::verdict::testing::attempt(0, "greeter-a");
        attempt.metadata = vec![(FORWARDED.to_owned(), header.to_owned())];
        assert_eq!(identity(&attempt), expected);
        // As fields of their own the elements say the same (RFC 9110 section 5.3).
        let parts = header.split(',');
        let field = |part: &str| (FORWARDED.to_owned(), part.to_owned());
        attempt.metadata = parts.map(field).collect();
        assert_eq!(identity(&attempt), expected);
    }
}
