//! The user's kubeconfig, read with care: only plain files, only so large, and no program is run unasked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kube::config::{AuthInfo, ExecConfig, Kubeconfig};
use secrecy::ExposeSecret as _;

use crate::{
    errors::chain,
    evidence::sensitive::{decoded, is_sensitive},
};

/// Largest file that is read: kubeconfigs and certificates are far smaller.
const LARGEST: u64 = 4 << 20;

/// Whether the program that a kubeconfig names for credentials may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plugins {
    #[default]
    Refused,
    Allowed,
}

impl Plugins {
    /// As the flag says.
    pub fn when(allowed: bool) -> Self {
        match allowed {
            true => Self::Allowed,
            false => Self::Refused,
        }
    }
}

/// Files of the user's kubeconfig, as kubectl looks for them: the list in `KUBECONFIG`, else `~/.kube/config`.
pub fn files() -> Vec<PathBuf> {
    match std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        Some(list) => std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => std::env::var_os("HOME")
            .map(|home| PathBuf::from(home).join(".kube/config"))
            .into_iter()
            .collect(),
    }
}

/// Reads files together, the first of two equal names counts; files that are not there are passed over as long as one is.
///
/// # Errors
/// In words: there is none, one is no plain file, is too large, or no kubeconfig.
pub fn read(files: &[PathBuf]) -> Result<Kubeconfig, String> {
    let there: Vec<&PathBuf> = files.iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        let names: Vec<String> = files
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(match names.is_empty() {
            true => "neither KUBECONFIG nor HOME is set".to_owned(),
            false => format!("{}: not there", names.join(", ")),
        });
    }
    let mut all = Kubeconfig::default();
    for path in there {
        check_file(path)?;
        let words = |error| format!("{}: {}", path.display(), chain(&error));
        let one = Kubeconfig::read_from(path).map_err(words)?;
        all = all.merge(one).map_err(words)?;
    }
    Ok(all)
}

/// A plain file of a sensible size: a pipe or a device could be read for ever.
fn check_file(path: &Path) -> Result<(), String> {
    let about = |words: &str| Err(format!("{}: {words}", path.display()));
    match fs::metadata(path) {
        Err(error) => about(&error.to_string()),
        Ok(meta) if !meta.is_file() => about("this is no plain file, so it is not read"),
        Ok(meta) if meta.len() > LARGEST => about("larger than 4 MiB, so it is not read"),
        Ok(_) => Ok(()),
    }
}

/// Looks at what a context's cluster and user name, before any of it is read or sent. Takes the credential plugin out, for it is run
/// with bounds of our own.
///
/// # Errors
/// In words: a file that must not be read, a way of signing in that is not taken, a plugin that nobody allowed, a token that no
/// request can carry.
pub fn credentials(
    config: &mut Kubeconfig,
    context: Option<&str>,
    plugins: Plugins,
) -> Result<Option<ExecConfig>, String> {
    let named = context.or(config.current_context.as_deref());
    let context = config
        .contexts
        .iter()
        .find(|known| Some(known.name.as_str()) == named)
        .and_then(|known| known.context.clone());
    // Who names no context that there is hears of it from whoever connects.
    let Some(context) = context else {
        return Ok(None);
    };
    let cluster = config
        .clusters
        .iter()
        .find(|known| known.name == context.cluster);
    let authority = cluster.and_then(|known| known.cluster.as_ref()?.certificate_authority.clone());
    if let Some(path) = authority {
        check_file(Path::new(&path)).map_err(|words| format!("certificate-authority {words}"))?;
    }
    let user = context.user.unwrap_or_default();
    let named = config
        .auth_infos
        .iter_mut()
        .find(|known| known.name == user);
    let Some(info) = named.and_then(|known| known.auth_info.as_mut()) else {
        return Ok(None);
    };
    check_user(info).map_err(|words| format!("the user {user} of the kubeconfig: {words}"))?;
    match (info.exec.take(), plugins) {
        (None, _) => Ok(None),
        (Some(exec), Plugins::Allowed) => Ok(Some(exec)),
        (Some(exec), Plugins::Refused) => Err(format!(
            "the user {user} of the kubeconfig gets its credentials from a program (exec: {}), which is not run unless --allow-exec-plugins says so",
            exec.command.unwrap_or_default()
        )),
    }
}

/// Texts of a kubeconfig that must not stand in any report: tokens, passwords, private keys, what is in the userinfo of proxies, and values
/// that are given to credential plugins under sensitive names.
pub fn secrets(config: &Kubeconfig) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for info in config
        .auth_infos
        .iter()
        .filter_map(|one| one.auth_info.as_ref())
    {
        for secret in [&info.token, &info.password, &info.client_key_data] {
            found.extend(secret.iter().map(|text| text.expose_secret().to_owned()));
        }
        let files = [&info.token_file, &info.client_key].into_iter().flatten();
        let plain = files.filter(|path| check_file(Path::new(path)).is_ok());
        found.extend(plain.filter_map(|path| fs::read_to_string(path).ok()));
        let exec = info.exec.iter().flat_map(|exec| exec.env.iter().flatten());
        let named = exec.filter(|one| one.get("name").is_some_and(|name| is_sensitive(name)));
        found.extend(named.filter_map(|one| one.get("value").cloned()));
    }
    let keys = found.iter().filter_map(|text| decoded(text));
    let keys: Vec<String> = keys.filter(|text| text.contains("-----BEGIN ")).collect();
    found.extend(keys);
    for cluster in config
        .clusters
        .iter()
        .filter_map(|one| one.cluster.as_ref())
    {
        let Some(proxy) = &cluster.proxy_url else {
            continue;
        };
        let authority = proxy
            .split_once("://")
            .map_or(proxy.as_str(), |(_, rest)| rest);
        if let Some((userinfo, _)) = authority.rsplit_once('@') {
            found.push(userinfo.to_owned());
            found.extend(
                userinfo
                    .split_once(':')
                    .map(|(_, password)| password.to_owned()),
            );
        }
    }
    found
}

fn check_user(info: &AuthInfo) -> Result<(), String> {
    if info.auth_provider.is_some() {
        let words = "auth-provider is not supported: Kubernetes took it out in 1.26; use the provider's exec plugin (kubelogin, gke-gcloud-auth-plugin)";
        return Err(words.to_owned());
    }
    let files = [
        ("tokenFile", &info.token_file),
        ("client-certificate", &info.client_certificate),
        ("client-key", &info.client_key),
    ];
    for (field, path) in files {
        if let Some(path) = path {
            check_file(Path::new(path)).map_err(|words| format!("{field} {words}"))?;
        }
    }
    let token = info
        .token
        .as_ref()
        .map(|token| token.expose_secret().to_owned());
    let token = match (token, &info.token_file) {
        (Some(token), _) => Some(token),
        (None, Some(path)) => {
            Some(fs::read_to_string(path).map_err(|error| format!("tokenFile {path}: {error}"))?)
        }
        (None, None) => None,
    };
    match token {
        Some(token) => check_token(token.trim()),
        None => Ok(()),
    }
}

/// A token stands in a header, which takes printable characters only.
pub fn check_token(token: &str) -> Result<(), String> {
    match http::HeaderValue::try_from(format!("Bearer {token}")) {
        Ok(_) if !token.is_empty() => Ok(()),
        Ok(_) => Err("its token is empty".to_owned()),
        Err(_) => Err("its token has characters that no header can carry".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::{sys::stat::Mode, unistd::mkfifo};
    use rstest::rstest;

    use super::*;

    fn config(user: &str) -> Kubeconfig {
        let text = format!(
            "contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\nusers: [{{name: u, user: {user}}}]\n"
        );
        Kubeconfig::from_yaml(&text).unwrap()
    }

    fn refused(user: &str) -> Option<String> {
        credentials(&mut config(user), Some("a"), Plugins::Refused).err()
    }

    #[rstest]
    #[case::token("{token: abc}", None)]
    #[case::nothing("{}", None)]
    #[case::device(
        "{client-key: /dev/zero}",
        Some("client-key /dev/zero: this is no plain file")
    )]
    #[case::folder("{tokenFile: /tmp}", Some("tokenFile /tmp: this is no plain file"))]
    #[case::absent(
        "{client-certificate: /nowhere/x}",
        Some("client-certificate /nowhere/x: No such file")
    )]
    #[case::provider(
        "{auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}}",
        Some("auth-provider is not supported")
    )]
    #[case::token_of_two_lines(r#"{token: "a\nb"}"#, Some("no header can carry"))]
    #[case::plugin(
        "{exec: {apiVersion: v1, command: /bin/sh}}",
        Some("(exec: /bin/sh), which is not run unless --allow-exec-plugins")
    )]
    fn a_user_is_looked_at_before_anything_is_read(
        #[case] user: &str,
        #[case] words: Option<&str>,
    ) {
        let said = refused(user);
        match words {
            None => assert_eq!(said, None),
            Some(words) => assert!(said.clone().unwrap_or_default().contains(words), "{said:?}"),
        }
    }

    #[test]
    fn an_allowed_plugin_is_taken_out_so_that_nobody_else_runs_it() {
        let mut config = config("{exec: {apiVersion: v1, command: /bin/sh}}");
        let exec = credentials(&mut config, Some("a"), Plugins::Allowed).unwrap();
        assert_eq!(exec.unwrap().command.as_deref(), Some("/bin/sh"));
        assert!(
            config.auth_infos[0]
                .auth_info
                .as_ref()
                .unwrap()
                .exec
                .is_none()
        );
    }

    #[test]
    fn pipes_devices_and_huge_files_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", at("link")).unwrap();
        let huge = fs::File::create(at("huge")).unwrap();
        huge.set_len(LARGEST + 1).unwrap();
        for (name, words) in [
            ("fifo", "no plain file"),
            ("link", "no plain file"),
            ("huge", "larger than"),
        ] {
            let said = read(&[at(name)]).unwrap_err();
            assert!(said.contains(words) && said.contains(name), "{said}");
        }
        let said = read(&[at("absent")]).unwrap_err();
        assert!(said.ends_with("absent: not there"), "{said}");
    }
}
