//! What makes a command fail, and the exit code of each cause.

use std::{error::Error, fmt, io};

use crate::{
    errors::{Classified, ErrorClass, chain},
    exit::Exit,
    settings::SettingsError,
};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Something asked for does not exist or can't be used as asked.
    #[error("{0}")]
    Usage(String),
    /// What was asked for names no scenario.
    #[error("{0}")]
    NothingSelected(String),
    #[error("can't write to stdout")]
    Stdout(#[source] io::Error),
    /// Anything that keeps us from telling.
    #[error(transparent)]
    Other(Failure),
}

/// An error of whatever kind, with its class.
#[derive(Debug)]
pub struct Failure {
    class: ErrorClass,
    error: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(to)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// The target of a run ended by itself; why, in the words of whoever saw it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TargetEnded(String);

impl CommandError {
    /// What this process cannot do: start a thread, read a file, find itself.
    pub fn other(error: impl Error + Send + Sync + 'static) -> Self {
        Self::in_class(ErrorClass::Machine, error)
    }

    /// What knows itself whose trouble it is.
    pub fn of(error: impl Classified + Send + Sync + 'static) -> Self {
        Self::in_class(error.class(), error)
    }

    fn in_class(class: ErrorClass, error: impl Error + Send + Sync + 'static) -> Self {
        let error = Box::new(error);
        Self::Other(Failure { class, error })
    }

    /// The target ended under the run.
    pub fn target_ended(why: impl Into<String>) -> Self {
        Self::in_class(ErrorClass::Mesh, TargetEnded(why.into()))
    }

    /// What was asked for can't be used as asked, in the words of an error and its causes.
    pub fn usage(error: &dyn Error) -> Self {
        Self::Usage(chain(error))
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Usage(_) => Exit::Usage,
            Self::NothingSelected(_) => Exit::NothingSelected,
            Self::Stdout(_) | Self::Other(_) => Exit::Error,
        }
    }
}

impl Classified for CommandError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Settings(_) | Self::Usage(_) | Self::NothingSelected(_) => ErrorClass::Input,
            Self::Stdout(_) => ErrorClass::Machine,
            Self::Other(failure) => failure.class,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        aux_service::AuxServiceError,
        cluster::{
            client::ClientError,
            kubeconfig::{KubeconfigError, NotRead},
            object::ObjectError,
            plugin::PluginError,
            request::RequestError,
            runs::RunsError,
        },
        image::ArchiveError,
        private_dir::NotPrivate,
        targets::{
            cluster::ExistingError,
            kind::KindError,
            local::{
                bring_up::BringUpError,
                world::{api::NotReady, launch::WorldError},
            },
        },
        toolchain::{ImageError, ToolchainError},
    };

    fn of(error: impl Classified + Send + Sync + 'static) -> (String, ErrorClass) {
        let error = CommandError::of(error);
        (chain(&error), error.class())
    }

    fn full() -> io::Error {
        io::Error::other("disk full")
    }

    fn refused(code: u16) -> ObjectError {
        ObjectError::Refused {
            kind: "Pod".into(),
            name: "p".into(),
            code,
            message: "no".into(),
        }
    }

    fn silent() -> RequestError {
        RequestError::Silent(Duration::from_secs(10))
    }

    /// Words are what a user reads, so they are written out.
    #[rstest::rstest]
    #[case::api_server(
        RunsError::Namespaces(silent()),
        "cannot list namespaces: no answer in 10s",
        ErrorClass::Mesh
    )]
    #[case::webhook(refused(500), "Pod p was refused: no", ErrorClass::Mesh)]
    #[case::manifest(refused(422), "Pod p was refused: no", ErrorClass::Input)]
    #[case::connection(
        ObjectError::Api { kind: "Pod".into(), name: "p".into(), source: Box::new(kube::Error::Service("closed".into())) },
        "Pod p: ServiceError: closed",
        ErrorClass::Mesh
    )]
    #[case::world_api_server(
        BringUpError::from(NotReady { limit: Duration::from_secs(90), last: "closed".into() }),
        "the API server did not answer within 90s; last answer: closed",
        ErrorClass::Mesh
    )]
    #[case::nodes(
        KindError::NodesNotReady { limit: Duration::from_secs(180), last: "n: no".into() },
        "not ready within 180s: n: no",
        ErrorClass::Mesh
    )]
    #[case::kubeconfig(
        ExistingError::Kubeconfig(KubeconfigError::NotRead { path: "/k".into(), source: NotRead::NotPlain }),
        "the kubeconfig cannot be read: /k: this is no plain file, so it is not read; $KUBECONFIG names it, else ~/.kube/config",
        ErrorClass::Input
    )]
    #[case::plugin(
        ExistingError::Client {
            context: "c".into(),
            source: ClientError::Plugin(PluginError::Nothing { program: "/p".into() }),
        },
        "--context c: the credential plugin /p gave neither a token nor a certificate",
        ErrorClass::Input
    )]
    #[case::name(WorldError::NotUp { name: "a".into() }, "no local target called a is up; start it: meshproof target up --name a", ErrorClass::Input)]
    #[case::image(ImageError::Syntax { given: "x".into() }, "--image x: expected NAME=DIR[,ENTRYPOINT…], for example myapp:dev=./rootfs,/bin/app,--serve", ErrorClass::Input)]
    #[case::state(
        WorldError::State { path: "/s".into(), source: full() },
        "cannot use the state directory /s: disk full; name another place for it in XDG_RUNTIME_DIR: a directory of your own, mode 0700",
        ErrorClass::Machine
    )]
    #[case::start(
        BringUpError::World(WorldError::Start(full())),
        "cannot start the local world: disk full",
        ErrorClass::Machine
    )]
    #[case::archive(
        KindError::Image(ArchiveError::Unwritable { path: "/a".into(), source: full() }),
        "cannot write the test bed's image: cannot write the image archive /a: disk full; it needs a directory that may be written to, with room for a copy of every file of its images",
        ErrorClass::Machine
    )]
    #[case::mirror(
        KindError::Mirror(AuxServiceError::Port { name: "the mirror of docker.io".into(), source: full() }),
        "--registry-mirror: the mirror of docker.io: no free port on this machine: disk full",
        ErrorClass::Machine
    )]
    #[case::chain(
        ToolchainError::Io { doing: "reading", path: "/x".into(), source: full() },
        "reading /x: disk full",
        ErrorClass::Machine
    )]
    #[case::pins(
        ToolchainError::Incomplete { what: "grpc".into(), path: "a".into() },
        "grpc has no a; the pinned version and this code do not fit",
        ErrorClass::Harness
    )]
    fn each_is_the_trouble_of_somebody(
        #[case] error: impl Classified + Send + Sync + 'static,
        #[case] words: &str,
        #[case] class: ErrorClass,
    ) {
        assert_eq!(of(error), (words.to_owned(), class));
    }

    #[test]
    fn an_error_keeps_its_words_its_causes_and_its_class() {
        let source = io::Error::other("disk on fire");
        let path = "/state".into();
        let error = CommandError::of(NotPrivate::Io { path, source });
        let words = "cannot use /state as a directory: disk on fire";
        assert_eq!(
            (chain(&error).as_str(), error.class(), error.exit()),
            (words, ErrorClass::Machine, Exit::Error)
        );
        let ended = CommandError::target_ended("etcd ended");
        assert_eq!(
            (chain(&ended).as_str(), ended.class()),
            ("etcd ended", ErrorClass::Mesh)
        );
    }
}
