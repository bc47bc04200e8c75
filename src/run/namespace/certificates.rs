//! Certificates of one scenario. They are created in memory, written as Secrets and deleted with
//! the namespace.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde_json::{Value, json};
use testbed::control::TlsPlan;
use x509_parser::{
    nom,
    prelude::{FromDer as _, X509Certificate, X509Error},
};

use crate::{
    cluster::object::RUN_LABEL,
    errors::{Classified, ErrorClass},
    evidence::redact::Redactor,
    observe::data_plane::spec::Served,
    scenario::{model::tls::Tls, verb::certificate::Certificate},
};

/// Default authority of a certificate.
pub const AUTHORITY: &str = "authority";

/// An error creating a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot create the certificate authority {name}")]
    Authority { name: String, source: rcgen::Error },
    #[error("cannot create a certificate")]
    Leaf(#[source] rcgen::Error),
    #[error("cannot parse the created certificate")]
    Unreadable(#[source] nom::Err<X509Error>),
}

impl Classified for CertificateError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Harness
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Authorities and certificates by name.
#[derive(Default)]
pub struct Certificates {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    authorities: BTreeMap<String, Authority>,
    recorded: BTreeMap<String, Served>,
    /// The present certificate of each Secret.
    current: BTreeMap<String, Served>,
}

/// A certificate and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
    serial: String,
}

impl Certificates {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns serial numbers by the names in `certificate` steps.
    pub fn serials(&self) -> BTreeMap<String, String> {
        self.with(|inner| {
            let pairs = inner.recorded.iter();
            pairs
                .map(|(name, recorded)| (name.clone(), recorded.serial.clone()))
                .collect()
        })
    }

    /// Returns the present certificates of the Secrets.
    pub fn current(&self) -> Vec<Served> {
        self.with(|inner| inner.current.values().cloned().collect())
    }

    /// Records that a Secret was deleted. Returns `false` if it is unknown.
    pub fn forget(&self, secret: &str) -> bool {
        self.with(|inner| inner.current.remove(secret).is_some())
    }

    /// Returns the caller's side of a handshake. Registers keys with `redactor`.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn plan(
        &self,
        tls: &Tls,
        expand: impl Fn(&str) -> String,
        redactor: &Redactor,
    ) -> Result<TlsPlan, CertificateError> {
        let sni = tls.sni.as_deref().map(|name| match name {
            "none" => String::new(),
            name => expand(name),
        });
        let roots = tls
            .roots
            .as_deref()
            .map(|name| self.root(name))
            .transpose()?;
        let client = tls.client.as_deref().map(|issuer| {
            let pair = self.pair(issuer, &["client.example.test".to_owned()], false)?;
            redactor.register(&pair.key);
            Ok::<_, CertificateError>(pair.certificate + &pair.key)
        });
        Ok(TlsPlan {
            sni,
            alpn: tls.alpn.clone().unwrap_or_else(|| vec!["h2".to_owned()]),
            roots_pem: roots.unwrap_or_default(),
            client_pem: client.transpose()?,
            version: tls.version.clone(),
        })
    }

    fn root(&self, name: &str) -> Result<String, CertificateError> {
        self.with(|inner| Ok(inner.authority(name)?.pem.clone()))
    }

    fn pair(
        &self,
        issuer: &str,
        hosts: &[String],
        expired: bool,
    ) -> Result<Pair, CertificateError> {
        self.with(|inner| leaf(inner.authority(issuer)?, hosts, expired))
    }

    /// Returns the Secret of a `certificate` step, its key, and what to pass to [`Self::keep`].
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn secret(
        &self,
        step: &Certificate,
        hosts: &[String],
        run: &str,
    ) -> Result<(Value, String, Served), CertificateError> {
        let issuer = step.issuer.as_deref().unwrap_or(AUTHORITY);
        let pair = self.pair(issuer, hosts, step.expired)?;
        let mut data = json!({"tls.crt": pair.certificate, "tls.key": pair.key});
        if let Some(clients) = &step.clients {
            data["ca.crt"] = self.root(clients)?.into();
        }
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": step.secret, "labels": {RUN_LABEL: run}}, "stringData": data,
        });
        let recorded = Served {
            serial: pair.serial,
            secret: step.secret.clone(),
            pem: pair.certificate,
        };
        Ok((object, pair.key, recorded))
    }

    /// Records the present certificate of a Secret.
    pub fn keep(&self, name: &str, recorded: Served) {
        self.with(|inner| {
            inner
                .current
                .insert(recorded.secret.clone(), recorded.clone());
            inner.recorded.insert(name.to_owned(), recorded);
        });
    }
}

impl Inner {
    /// Returns the authority of this name, created at its first use.
    fn authority(&mut self, name: &str) -> Result<&Authority, CertificateError> {
        if !self.authorities.contains_key(name) {
            let recorded = authority(name).map_err(|source| CertificateError::Authority {
                name: name.to_owned(),
                source,
            })?;
            self.authorities.insert(name.to_owned(), recorded);
        }
        Ok(&self.authorities[name])
    }
}

fn authority(name: &str) -> Result<Authority, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok(Authority {
        pem: certificate.pem(),
        issuer: Issuer::new(params, key),
    })
}

fn leaf(authority: &Authority, hosts: &[String], expired: bool) -> Result<Pair, CertificateError> {
    let make = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts.to_vec())?;
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        Ok((params.signed_by(&key, &authority.issuer)?, key))
    };
    let (certificate, key) = make().map_err(CertificateError::Leaf)?;
    let (_, parsed) =
        X509Certificate::from_der(certificate.der()).map_err(CertificateError::Unreadable)?;
    Ok(Pair {
        serial: parsed.raw_serial_as_string(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> Certificate {
        Certificate {
            secret: "cert".into(),
            hosts: Vec::new(),
            label: Some(name.into()),
            issuer: None,
            clients: Some("clients".into()),
            expired: false,
        }
    }

    #[test]
    fn an_expired_certificate_is_over() {
        let all = Certificates::default();
        let expired = Certificate {
            expired: true,
            ..step("old")
        };
        for (step, valid) in [(expired, false), (step("new"), true)] {
            let (_, _, recorded) = all
                .secret(&step, &["a.example.test".to_owned()], "r")
                .expect("made");
            let (_, pem) = x509_parser::pem::parse_x509_pem(recorded.pem.as_bytes()).expect("PEM");
            let parsed = pem.parse_x509().expect("a certificate");
            assert_eq!(parsed.validity().is_valid(), valid);
        }
    }

    #[test]
    fn a_rotation_keeps_the_old_serial_and_replaces_what_the_secret_holds() {
        let all = Certificates::default();
        let hosts = ["a.example.test".to_owned()];
        let mut serials = Vec::new();
        for name in ["first", "second"] {
            let (object, _, recorded) = all.secret(&step(name), &hosts, "r").expect("made");
            assert!(object["stringData"]["ca.crt"].is_string());
            serials.push(recorded.serial.clone());
            all.keep(name, recorded);
        }
        assert_ne!(serials[0], serials[1]);
        assert_eq!(all.serials()["first"], serials[0]);
        let current = all.current();
        assert_eq!((current.len(), &current[0].serial), (1, &serials[1]));
        assert!(all.forget("cert") && all.current().is_empty());
    }

    #[test]
    fn one_authority_signs_for_server_and_roots() {
        let all = Certificates::default();
        let tls = Tls {
            roots: Some(AUTHORITY.into()),
            client: Some("clients".into()),
            sni: Some("none".into()),
            ..Tls::default()
        };
        let redactor = Redactor::default();
        let plan = all.plan(&tls, str::to_owned, &redactor).expect("planned");
        assert_eq!(plan.roots_pem, all.root(AUTHORITY).expect("made before"));
        assert_eq!(
            (plan.sni.as_deref(), plan.alpn.as_slice()),
            (Some(""), &["h2".to_owned()][..])
        );
        let pem = plan.client_pem.expect("has a client certificate");
        let key = pem.lines().rev().nth(1).expect("a line of the key");
        assert!(!redactor.text(&pem).contains(key), "the key is masked");
    }
}
