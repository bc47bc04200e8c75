//! Reads the user's kubeconfig safely: only regular files up to a size limit, and without running
//! programs unless allowed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kube::config::{AuthInfo, ExecConfig, Kubeconfig};
use secrecy::ExposeSecret as _;

use crate::{
    errors::{Classified, ErrorClass},
    evidence::sensitive::{decoded, is_sensitive},
};

/// Largest file that is read. Kubeconfigs and certificates are far smaller.
const LARGEST: u64 = 4 << 20;

/// An error reading a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("neither KUBECONFIG nor HOME is set")]
    Unnamed,
    /// None of the files exists.
    #[error("{files}: no such file")]
    Absent { files: String },
    #[error("{}", .path.display())]
    NotRead { path: PathBuf, source: NotRead },
    /// The file is not a kubeconfig.
    #[error("{}", .path.display())]
    NoKubeconfig {
        path: PathBuf,
        source: Box<kube::config::KubeconfigError>,
    },
    #[error("certificate-authority {path}")]
    Authority { path: String, source: NotRead },
    #[error("user {user} of the kubeconfig")]
    User { user: String, source: UserError },
    #[error(
        "user {user} of the kubeconfig gets its credentials from a program (exec: {program}), which is not run without --allow-exec-plugins"
    )]
    PluginRefused { user: String, program: String },
}

impl Classified for KubeconfigError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotRead { source, .. } | Self::Authority { source, .. } => source.class(),
            Self::User { source, .. } => source.class(),
            Self::Unnamed
            | Self::Absent { .. }
            | Self::NoKubeconfig { .. }
            | Self::PluginRefused { .. } => ErrorClass::Input,
        }
    }
}

/// Why a kubeconfig, or a file that it names, was not read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("not a regular file, so it is not read")]
    NotPlain,
    #[error("larger than 4 MiB, so it is not read")]
    TooLarge,
}

impl Classified for NotRead {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Io(error) if error.kind() != io::ErrorKind::NotFound => ErrorClass::Machine,
            // The kubeconfig names a file that does not exist or cannot be used.
            Self::Io(_) | Self::NotPlain | Self::TooLarge => ErrorClass::Input,
        }
    }
}

/// An error using the credentials of a kubeconfig's user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(
        "auth-provider is not supported: Kubernetes removed it in 1.26; use the provider's exec plugin (kubelogin, gke-gcloud-auth-plugin)"
    )]
    AuthProvider,
    #[error("{field} {path}")]
    File {
        field: &'static str,
        path: String,
        source: NotRead,
    },
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Classified for UserError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::File { source, .. } => source.class(),
            Self::AuthProvider | Self::Token(_) => ErrorClass::Input,
        }
    }
}

/// Why a token cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is empty")]
    Empty,
    #[error("the token has characters that are not allowed in an HTTP header")]
    Unprintable,
}

/// Whether the credential program that a kubeconfig names may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plugins {
    #[default]
    Refused,
    Allowed,
}

impl Plugins {
    /// The value of the flag.
    pub fn when(allowed: bool) -> Self {
        match allowed {
            true => Self::Allowed,
            false => Self::Refused,
        }
    }
}

/// Files of the user's kubeconfig, in the same way as kubectl: the list in `KUBECONFIG`, else
/// `~/.kube/config`.
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

/// Reads and merges files. The first of two equal names takes effect. Missing files are ignored
/// as long as one exists.
///
/// # Errors
/// [`KubeconfigError`]: no file exists, or one is not a regular file, is too large, or is not a
/// kubeconfig.
pub fn read(files: &[PathBuf]) -> Result<Kubeconfig, KubeconfigError> {
    let there: Vec<&PathBuf> = files.iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        let names: Vec<String> = files
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(match names.is_empty() {
            true => KubeconfigError::Unnamed,
            false => KubeconfigError::Absent {
                files: names.join(", "),
            },
        });
    }
    let mut all = Kubeconfig::default();
    for path in there {
        check_file(path).map_err(|source| KubeconfigError::NotRead {
            path: path.clone(),
            source,
        })?;
        let none = |source| KubeconfigError::NoKubeconfig {
            path: path.clone(),
            source: Box::new(source),
        };
        let one = Kubeconfig::read_from(path).map_err(none)?;
        all = all.merge(one).map_err(none)?;
    }
    Ok(all)
}

/// Requires a regular file within the size limit: a pipe or a device could be read for ever.
fn check_file(path: &Path) -> Result<(), NotRead> {
    let meta = fs::metadata(path)?;
    match meta.is_file() {
        false => Err(NotRead::NotPlain),
        true if meta.len() > LARGEST => Err(NotRead::TooLarge),
        true => Ok(()),
    }
}

/// Checks the files and credentials of a context's cluster and user, before any of them is read
/// or sent. Removes the credential plugin from the kubeconfig, because meshproof runs it itself
/// within limits.
///
/// # Errors
/// [`KubeconfigError`]: a file that must not be read, an unsupported authentication method, a
/// plugin that is not allowed, or a token that a header cannot hold.
pub fn credentials(
    config: &mut Kubeconfig,
    context: Option<&str>,
    plugins: Plugins,
) -> Result<Option<ExecConfig>, KubeconfigError> {
    let named = context.or(config.current_context.as_deref());
    let context = config
        .contexts
        .iter()
        .find(|known| Some(known.name.as_str()) == named)
        .and_then(|known| known.context.clone());
    // The client reports an unknown context when it connects.
    let Some(context) = context else {
        return Ok(None);
    };
    let cluster = config
        .clusters
        .iter()
        .find(|known| known.name == context.cluster);
    let authority = cluster.and_then(|known| known.cluster.as_ref()?.certificate_authority.clone());
    if let Some(path) = authority {
        check_file(Path::new(&path))
            .map_err(|source| KubeconfigError::Authority { path, source })?;
    }
    let user = context.user.unwrap_or_default();
    let named = config
        .auth_infos
        .iter_mut()
        .find(|known| known.name == user);
    let Some(info) = named.and_then(|known| known.auth_info.as_mut()) else {
        return Ok(None);
    };
    check_user(info).map_err(|source| KubeconfigError::User {
        user: user.clone(),
        source,
    })?;
    match (info.exec.take(), plugins) {
        (None, _) => Ok(None),
        (Some(exec), Plugins::Allowed) => Ok(Some(exec)),
        (Some(exec), Plugins::Refused) => Err(KubeconfigError::PluginRefused {
            user,
            program: exec.command.unwrap_or_default(),
        }),
    }
}

/// Values of a kubeconfig that must not appear in any report: tokens, passwords, private keys,
/// the userinfo of proxy URLs, and sensitive environment variables of credential plugins.
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

fn check_user(info: &AuthInfo) -> Result<(), UserError> {
    if info.auth_provider.is_some() {
        return Err(UserError::AuthProvider);
    }
    let wrong = |field, path: &String| {
        let path = path.clone();
        move |source| UserError::File {
            field,
            path,
            source,
        }
    };
    let files = [
        ("tokenFile", &info.token_file),
        ("client-certificate", &info.client_certificate),
        ("client-key", &info.client_key),
    ];
    for (field, path) in files {
        if let Some(path) = path {
            check_file(Path::new(path)).map_err(wrong(field, path))?;
        }
    }
    let token = info
        .token
        .as_ref()
        .map(|token| token.expose_secret().to_owned());
    let token = match (token, &info.token_file) {
        (Some(token), _) => Some(token),
        (None, Some(path)) => {
            let read = fs::read_to_string(path).map_err(NotRead::Io);
            Some(read.map_err(wrong("tokenFile", path))?)
        }
        (None, None) => None,
    };
    match token {
        Some(token) => Ok(check_token(token.trim())?),
        None => Ok(()),
    }
}

/// Checks a token, which is sent in a header and so must consist of printable characters.
///
/// # Errors
/// [`TokenError`].
pub fn check_token(token: &str) -> Result<(), TokenError> {
    match http::HeaderValue::try_from(format!("Bearer {token}")) {
        Ok(_) if !token.is_empty() => Ok(()),
        Ok(_) => Err(TokenError::Empty),
        Err(_) => Err(TokenError::Unprintable),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::{sys::stat::Mode, unistd::mkfifo};
    use rstest::rstest;

    use super::*;
    use crate::errors::chain;

    fn config(user: &str) -> Kubeconfig {
        let text = format!(
            "contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\nusers: [{{name: u, user: {user}}}]\n"
        );
        Kubeconfig::from_yaml(&text).unwrap()
    }

    fn refused(user: &str) -> Option<String> {
        let refused = credentials(&mut config(user), Some("a"), Plugins::Refused);
        Some(chain(&refused.err()?))
    }

    #[rstest]
    #[case::token("{token: abc}", None)]
    #[case::nothing("{}", None)]
    #[case::device(
        "{client-key: /dev/zero}",
        Some("client-key /dev/zero: not a regular file")
    )]
    #[case::folder("{tokenFile: /tmp}", Some("tokenFile /tmp: not a regular file"))]
    #[case::absent(
        "{client-certificate: /nowhere/x}",
        Some("client-certificate /nowhere/x: No such file")
    )]
    #[case::provider(
        "{auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}}",
        Some("auth-provider is not supported")
    )]
    #[case::token_of_two_lines(r#"{token: "a\nb"}"#, Some("not allowed in an HTTP header"))]
    #[case::plugin(
        "{exec: {apiVersion: v1, command: /bin/sh}}",
        Some("(exec: /bin/sh), which is not run without --allow-exec-plugins")
    )]
    fn a_user_is_looked_at_before_anything_is_read(
        #[case] user: &str,
        #[case] message: Option<&str>,
    ) {
        let answer = refused(user);
        match message {
            None => assert_eq!(answer, None),
            Some(message) => assert!(
                answer.clone().unwrap_or_default().contains(message),
                "{answer:?}"
            ),
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
        for (name, message) in [
            ("fifo", "not a regular file"),
            ("link", "not a regular file"),
            ("huge", "larger than"),
        ] {
            let answer = chain(&read(&[at(name)]).unwrap_err());
            assert!(
                answer.contains(message) && answer.contains(name),
                "{answer}"
            );
        }
        let answer = read(&[at("absent")]).unwrap_err().to_string();
        assert!(answer.ends_with("absent: no such file"), "{answer}");
    }
}
