//! Istio's images, built from the tool chain's programs: `HUB/pilot:TAG` and `HUB/proxyv2:TAG`, for
//! `kind load image-archive`.

use std::{fs, path::Path, rc::Rc};

use super::{
    ArchiveError,
    list::member,
    save::{Layer, Layered, Start},
};
use crate::toolchain::TreeEntry;

/// User and group of Istio's pods.
const USER: &str = "1337";
/// Debian's certificate authority bundle, in the userland and in the image.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The inputs of Istio's images.
#[derive(Debug, Clone, Copy)]
pub struct IstioImageInputs<'a> {
    /// The tool chain's set of the control plane.
    pub control_plane: &'a Path,
    /// The tool chain's set of Envoy.
    pub envoy: &'a Path,
    /// Envoy's version, such as `1.39.3`.
    pub envoy_version: &'a str,
    /// An uncompressed tar of a Debian tree with `iptables` and certificate authorities: the
    /// proxy's base image.
    pub userland: &'a Path,
}

/// istiod's image, which contains only what its program needs, and the proxies'.
///
/// # Errors
/// A program or a file of the userland cannot be read.
pub fn images(
    parts: IstioImageInputs<'_>,
    hub: &str,
    tag: &str,
) -> Result<[Layered; 2], ArchiveError> {
    let (pilot, proxy) = (format!("{hub}/pilot:{tag}"), format!("{hub}/proxyv2:{tag}"));
    let layers = [Rc::new(Layer::of_tree(&pilot, istiod(&pilot, parts)?)?)];
    let start = Start {
        entrypoint: vec!["/usr/local/bin/pilot-discovery".to_owned()],
        user: format!("{USER}:{USER}"),
        ..Start::default()
    };
    let istiod = Layered::new(vec![pilot], layers.into(), &start);
    let layers = [
        Rc::new(Layer::of_tar(&proxy, parts.userland)?),
        Rc::new(Layer::of_tree(&proxy, proxies(&proxy, parts)?)?),
    ];
    let start = Start {
        entrypoint: vec!["/usr/local/bin/pilot-agent".to_owned()],
        env: vec![format!(
            "ISTIO_META_ISTIO_PROXY_SHA=envoy-{}",
            parts.envoy_version
        )],
        ..Start::default()
    };
    Ok([istiod, Layered::new(vec![proxy], layers.into(), &start)])
}

fn istiod(image: &str, parts: IstioImageInputs<'_>) -> Result<Vec<TreeEntry>, ArchiveError> {
    let program = parts.control_plane.join("bin/pilot-discovery");
    Ok(vec![
        TreeEntry::dir("/tmp", 0o1777),
        TreeEntry::file(
            format!("/{AUTHORITIES}"),
            member(image, parts.userland, AUTHORITIES)?,
        ),
        TreeEntry::bind(program, "/usr/local/bin/pilot-discovery"),
    ])
}

fn proxies(image: &str, parts: IstioImageInputs<'_>) -> Result<Vec<TreeEntry>, ArchiveError> {
    let template = parts.control_plane.join("share/envoy_bootstrap.json");
    let contents = fs::read(&template).map_err(|source| ArchiveError::Unreadable {
        image: image.to_owned(),
        path: template,
        source,
    })?;
    let mut users = member(image, parts.userland, "etc/passwd")?;
    users.extend(format!("istio-proxy:x:{USER}:{USER}::/home/istio-proxy:/bin/false\n").bytes());
    let mut groups = member(image, parts.userland, "etc/group")?;
    groups.extend(format!("istio-proxy:x:{USER}:\n").bytes());
    let agent = parts.control_plane.join("bin/pilot-agent");
    Ok(vec![
        TreeEntry::dir("/tmp", 0o1777),
        TreeEntry::file("/etc/passwd", users),
        TreeEntry::file("/etc/group", groups),
        TreeEntry::dir("/home/istio-proxy", 0o777),
        TreeEntry::bind(agent, "/usr/local/bin/pilot-agent"),
        TreeEntry::bind(parts.envoy.join("bin/envoy"), "/usr/local/bin/envoy"),
        TreeEntry::file("/var/lib/istio/envoy/envoy_bootstrap_tmpl.json", contents),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{list, save::save};

    #[test]
    fn a_proxy_stands_on_the_userland_with_a_user_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in ["ours/bin", "ours/share", "envoy/bin", "tree/etc/ssl/certs"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for (path, contents) in [
            ("ours/bin/pilot-discovery", "istiod"),
            ("ours/bin/pilot-agent", "agent"),
            ("ours/share/envoy_bootstrap.json", "{}"),
            ("envoy/bin/envoy", "envoy"),
            ("tree/etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
            ("tree/etc/group", "root:x:0:\n"),
            ("tree/etc/ssl/certs/ca-certificates.crt", "PEM"),
        ] {
            fs::write(at(path), contents).unwrap();
        }
        let mut tar = tar::Builder::new(fs::File::create(at("userland.tar")).unwrap());
        tar.append_dir_all(".", at("tree")).unwrap();
        tar.into_inner().unwrap();
        let (control_plane, envoy, userland) = (at("ours"), at("envoy"), at("userland.tar"));
        let parts = IstioImageInputs {
            control_plane: &control_plane,
            envoy: &envoy,
            envoy_version: "1.39.3",
            userland: &userland,
        };
        let users = proxies("proxyv2", parts).unwrap();
        let passwd = TreeEntry::file(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\nistio-proxy:x:1337:1337::/home/istio-proxy:/bin/false\n",
        );
        assert!(users.contains(&passwd), "{users:?}");
        let to = at("istio.tar");
        save(&images(parts, "local", "dev").unwrap(), &to).unwrap();
        let listed = list(&to).unwrap();
        let names: Vec<_> = listed.iter().map(|image| image.names[0].as_str()).collect();
        assert_eq!(names, ["local/pilot:dev", "local/proxyv2:dev"]);
        let layers: Vec<_> = listed.iter().map(|image| image.layers.len()).collect();
        assert_eq!(layers, [1, 2]);
        fs::remove_file(at("envoy/bin/envoy")).unwrap();
        let answer = images(parts, "local", "dev").unwrap_err().to_string();
        assert!(
            answer.contains("local/proxyv2:dev") && answer.contains("bin/envoy"),
            "{answer}"
        );
    }
}
