//! Certificates and keys of one world: created for it, never reused, removed with it. A
//! snapshot has none of them.

use std::{fs, net::IpAddr, os::unix::fs::OpenOptionsExt as _, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use sha2::{Digest as _, Sha256};

use super::{
    error::{CertificateError, RoleError},
    spec::{API_PORT, API_SERVICE_IP, NODE_IP, NODE_NAME, WorldSpec},
};
use crate::text::hex;

type Authority = Issuer<'static, KeyPair>;

/// Creates everything that the control plane, the node and clients need, under `pki/`, and the
/// two kubeconfigs.
///
/// # Errors
/// [`RoleError`], with the file or key that failed.
pub fn make(spec: &WorldSpec) -> Result<(), RoleError> {
    let dir = spec.pki();
    fs::create_dir_all(&dir).map_err(RoleError::io(format!("create {}", dir.display())))?;
    let (ca_pem, ca) = authority().map_err(RoleError::Authority)?;
    certificates(&dir, &ca_pem, &ca).map_err(RoleError::Certificates)?;
    let admin = token(&dir).map_err(RoleError::Certificates)?;
    kubeconfig(&spec.kubeconfig(), spec.api_port, &ca_pem, &admin)?;
    kubeconfig(&spec.kubeconfig_inside(), API_PORT, &ca_pem, &admin)
}

type IssuedCertificate = Result<(String, String), CertificateError>;

fn certificates(dir: &Path, ca_pem: &str, ca: &Authority) -> Result<(), CertificateError> {
    write(&dir.join("ca.crt"), ca_pem)?;
    write(&dir.join("ca.key"), &ca.key().serialize_pem())?;
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    let addresses = [
        IpAddr::from([127, 0, 0, 1]),
        API_SERVICE_IP.into(),
        NODE_IP.into(),
    ];
    let api = leaf(
        "kube-apiserver",
        None,
        &names,
        &addresses,
        ExtendedKeyUsagePurpose::ServerAuth,
        ca,
    )?;
    pair(dir, "apiserver", &api)?;
    let kubelet = leaf(
        NODE_NAME,
        None,
        &[NODE_NAME],
        &[NODE_IP.into()],
        ExtendedKeyUsagePurpose::ServerAuth,
        ca,
    )?;
    pair(dir, "kubelet", &kubelet)?;
    let client = leaf(
        "kube-apiserver-kubelet-client",
        Some("system:masters"),
        &[],
        &[],
        ExtendedKeyUsagePurpose::ClientAuth,
        ca,
    )?;
    pair(dir, "apiserver-kubelet-client", &client)?;
    let accounts = KeyPair::generate()?;
    write(&dir.join("sa.key"), &accounts.serialize_pem())?;
    write(&dir.join("sa.pub"), &accounts.public_key_pem())?;
    Ok(())
}

/// The token of the administrator, and the file in which the API server looks it up. The API server
/// verifies a client certificate anew for every request, which was a fifteenth of its work.
fn token(dir: &Path) -> Result<String, CertificateError> {
    let secret = KeyPair::generate()?.serialize_der();
    let token = hex(&Sha256::digest(secret));
    write(&dir.join("admin.key"), &token)?;
    let user = "meshproof-admin,meshproof-admin,system:masters";
    write(&dir.join("tokens.csv"), &format!("{token},{user}\n"))?;
    Ok(token)
}

fn authority() -> Result<(String, Authority), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "meshproof local world");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

/// A certificate and its key as PEM.
fn leaf(
    name: &str,
    group: Option<&str>,
    dns: &[&str],
    ips: &[IpAddr],
    usage: ExtendedKeyUsagePurpose,
    ca: &Authority,
) -> IssuedCertificate {
    let key = KeyPair::generate()?;
    let mut params =
        CertificateParams::new(dns.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params
        .subject_alt_names
        .extend(ips.iter().map(|ip| SanType::IpAddress(*ip)));
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, ca)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn pair(dir: &Path, name: &str, (certificate, key): &(String, String)) -> std::io::Result<()> {
    write(&dir.join(format!("{name}.crt")), certificate)?;
    write(&dir.join(format!("{name}.key")), key)
}

/// Readable by the owner only: even certificates are of no concern to other users.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn kubeconfig(path: &Path, port: u16, ca: &str, token: &str) -> Result<(), RoleError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "meshproof-local",
        "clusters": [{"name": "meshproof-local", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority-data": STANDARD.encode(ca)}}],
        "users": [{"name": "meshproof-admin", "user": {"token": token}}],
        "contexts": [{"name": "meshproof-local", "context": {"cluster": "meshproof-local", "user": "meshproof-admin"}}],
    });
    write(path, &text.to_string()).map_err(RoleError::io(format!("write {}", path.display())))
}
