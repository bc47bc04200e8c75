//! `tls`: the TLS handshake of every call's connection.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use testbed::control::{Observation, TlsSeen};

use super::spec::{Around, Exact, ExpectError, Form, Mistake, Spec};
use crate::{
    text::did_you_mean,
    verdict::{
        calls::Calls,
        judgement::{Judgement, every},
    },
};

/// Reasons for a missing connection, in addition to the alerts of RFC 8446.
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

/// Every value that `refused` may have.
fn reasons() -> impl Iterator<Item = &'static str> {
    OWN.into_iter().chain(ALERTS)
}

/// The expected handshake. All fields that are set must hold for every call's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TlsExpect")]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Tls {
    /// The protocol that was negotiated; `none`: no protocol.
    pub alpn: Option<String>,
    /// `1.2` or `1.3`.
    pub version: Option<String>,
    /// All DNS and URI names of the certificate that was served, in any order.
    pub names: Option<Vec<String>>,
    /// The certificate that was served, by the name that a `certificate` step gave it (`as`).
    pub certificate: Option<String>,
    /// There is no connection for this reason: an alert of the peer by its name in RFC 8446
    /// (`certificate-required`), or one of `closed`, `no-listener`, `no-tls`, `untrusted`,
    /// `wrong-name`.
    pub refused: Option<String>,
}

impl Spec for Tls {
    const NAME: &'static str = "tls";
    const DOC: &'static str = "TLS handshake of every call's connection.";
    const FORMS: &'static [Form] = &[
        Form::exact(
            "`tls: {alpn, version, names, certificate}`",
            "each call's connection negotiated this; `certificate` is the name that a `certificate` step gave (`as`)",
        ),
        Form::exact(
            "`tls: {refused: REASON}`",
            "there is no connection for this reason: an alert of RFC 8446 (`certificate-required`, `unknown-ca`, `protocol-version`, …) or `closed`, `no-listener`, `no-tls`, `untrusted`, `wrong-name`",
        ),
    ];
    const EVERY_CALL: bool = true;
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        match &written.refused {
            Some(word) if !reasons().any(|known| known == word) => Err(ExpectError::Text {
                field: Self::NAME,
                message: format!(
                    "unknown reason '{word}' for a refused handshake: write one of {}",
                    reasons().collect::<Vec<_>>().join(", ")
                ),
            }),
            _ => Ok(written.clone()),
        }
    }

    fn expected(&self) -> String {
        let mut parts = Vec::new();
        if let Some(alpn) = &self.alpn {
            parts.push(format!("ALPN {alpn}"));
        }
        if let Some(version) = &self.version {
            parts.push(format!("TLS {version}"));
        }
        if let Some(name) = &self.certificate {
            parts.push(format!("certificate {name}"));
        }
        if let Some(names) = &self.names {
            let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            parts.push(format!("for {}", join(names)));
        }
        if let Some(reason) = &self.refused {
            parts.push(format!("refused: {reason}"));
        }
        parts.join(", ")
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        let names = self.names.iter_mut().flatten();
        names.for_each(|name| *name = expand(name));
    }

    fn is_about_the_client(&self) -> bool {
        self.refused.is_some()
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        let mut found = Vec::new();
        if !around.tls {
            found.push(Mistake::new(
                "'tls' expects a handshake, but the caller uses plaintext",
                "add `tls: {}` to the probe",
            ));
        }
        let shown = self.alpn.is_some()
            || self.version.is_some()
            || self.names.is_some()
            || self.certificate.is_some();
        if self.refused.is_some() && shown {
            found.push(Mistake::new(
                "'refused' excludes the other fields of 'tls'",
                "remove `refused`, or all other fields",
            ));
        } else if self.refused.is_none() && !shown {
            found.push(Mistake::new(
                "'tls' expects nothing of the handshake",
                "set one of alpn, version, names, certificate, refused",
            ));
        }
        let name = self.certificate.as_deref();
        if let Some(name) = name.filter(|name| !around.certificates.contains(name)) {
            found.push(Mistake::new(
                format!("no step creates the certificate '{name}'"),
                did_you_mean(name, &around.certificates),
            ));
        }
        found
    }
}

impl Exact for Tls {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let known = &calls.seen.certificates;
        every(
            &calls.kept(),
            |call| actual(call, known),
            |call| matches(self, call, known),
        )
    }
}

type Certificates = BTreeMap<String, String>;

fn matches(expected: &Tls, call: &Observation, known: &Certificates) -> bool {
    if let Some(reason) = &expected.refused {
        return refusal(call).as_deref() == Some(reason.as_str());
    }
    let Some(tls) = &call.tls else {
        return false;
    };
    let alpn = tls.alpn.as_deref().unwrap_or("none");
    let names: BTreeSet<&str> = tls.peer_names.iter().map(String::as_str).collect();
    let serial = |name: &String| known.get(name) == Some(&tls.peer_serial);
    expected
        .alpn
        .as_ref()
        .is_none_or(|expected| expected == alpn)
        && expected.version.as_ref().is_none_or(|v| *v == tls.version)
        && expected
            .names
            .as_ref()
            .is_none_or(|list| list.iter().map(String::as_str).collect::<BTreeSet<_>>() == names)
        && expected.certificate.as_ref().is_none_or(serial)
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

/// Error texts for the end of a TCP connection.
const ENDS: [&str; 5] = [
    "eof",
    "reset by peer",
    "Broken pipe",
    "broken pipe",
    "closed",
];

/// Why a call had no connection; `None` if it had one or failed for another reason.
///
/// With TLS 1.3, the client finishes the handshake before the server verifies its certificate, so
/// an alert may arrive after a handshake that seemed successful.
fn refusal(call: &Observation) -> Option<String> {
    let message = call.transport_error.as_deref()?;
    if let Some((_, rest)) = message.split_once("received fatal alert: ") {
        let name: String = rest
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        return Some(kebab(&name));
    }
    if let Some((_, rest)) = message.split_once("invalid peer certificate: ") {
        let name = rest.to_ascii_lowercase();
        let wrong = name.contains("notvalidforname") || name.contains("not valid for name");
        return Some(if wrong { "wrong-name" } else { "untrusted" }.to_owned());
    }
    let own = if message.contains("connect to ") {
        "no-listener"
    } else if message.contains("peer is incompatible")
        || message.contains("doesn't support any known")
    {
        "incompatible"
    } else if message.contains("InvalidContentType") {
        "no-tls"
    } else if ENDS.iter().any(|end| message.contains(end)) {
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
    fn a_refusal_has_a_name(#[case] message: &str, #[case] reason: &str) {
        let mut call = failed(0, 14, message, Origin::Transport);
        call.transport_error = Some(message.to_owned());
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
    #[case(Tls { alpn: Some("h2".into()), ..Tls::default() }, true)]
    #[case(Tls { alpn: Some("none".into()), ..Tls::default() }, false)]
    #[case(Tls { version: Some("1.2".into()), ..Tls::default() }, false)]
    #[case(Tls { names: Some(vec!["a".into(), "b".into()]), ..Tls::default() }, true)]
    #[case(Tls { names: Some(vec!["a".into()]), ..Tls::default() }, false)]
    #[case(Tls { certificate: Some("first".into()), ..Tls::default() }, true)]
    #[case(Tls { certificate: Some("second".into()), ..Tls::default() }, false)]
    #[case(Tls { refused: Some("closed".into()), ..Tls::default() }, false)]
    fn every_field_of_a_handshake_counts(#[case] expected: Tls, #[case] holds: bool) {
        let known = Certificates::from([
            ("first".to_owned(), "01".to_owned()),
            ("second".to_owned(), "02".to_owned()),
        ]);
        assert_eq!(matches(&expected, &with_tls("01"), &known), holds);
    }
}
