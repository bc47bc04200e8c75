//! Errors of commands, and their exit codes.

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
    /// Something that was requested does not exist or can't be used as requested.
    #[error("{0}")]
    Usage(String),
    /// The request selects no scenario.
    #[error("{0}")]
    NothingSelected(String),
    #[error("can't write to stdout")]
    Stdout(#[source] io::Error),
    /// Any other failure that prevents a verdict.
    #[error(transparent)]
    Other(Failure),
}

/// An error of any kind, with its class.
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

/// An error for a target that ended by itself during a run, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TargetEnded(String);

impl CommandError {
    /// An error of this process: it cannot start a thread, read a file or find its own executable.
    pub fn other(error: impl Error + Send + Sync + 'static) -> Self {
        Self::in_class(ErrorClass::Machine, error)
    }

    /// An error that has a class of its own.
    pub fn of(error: impl Classified + Send + Sync + 'static) -> Self {
        Self::in_class(error.class(), error)
    }

    fn in_class(class: ErrorClass, error: impl Error + Send + Sync + 'static) -> Self {
        let error = Box::new(error);
        Self::Other(Failure { class, error })
    }

    /// The target ended during the run.
    pub fn target_ended(why: impl Into<String>) -> Self {
        Self::in_class(ErrorClass::Mesh, TargetEnded(why.into()))
    }

    /// Wrong usage, with the text of an error and its causes.
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

    /// Messages are what a user reads, so they are written out.
    #[rstest::rstest]
    #[case::api_server(
        RunsError::Namespaces(silent()),
        "cannot list namespaces: no response within 10s",
        ErrorClass::Mesh
    )]
    #[case::webhook(refused(500), "the API server rejected Pod p: no", ErrorClass::Mesh)]
    #[case::manifest(refused(422), "the API server rejected Pod p: no", ErrorClass::Input)]
    #[case::connection(
        ObjectError::Api { kind: "Pod".into(), name: "p".into(), source: Box::new(kube::Error::Service("closed".into())) },
        "the request for Pod p failed: ServiceError: closed",
        ErrorClass::Mesh
    )]
    #[case::world_api_server(
        BringUpError::from(NotReady { limit: Duration::from_secs(90), last: "closed".into() }),
        "the API server did not answer within 90s; last answer: closed",
        ErrorClass::Mesh
    )]
    #[case::nodes(
        KindError::NodesNotReady { limit: Duration::from_secs(180), last: "n: no".into() },
        "nodes not ready within 180s: n: no",
        ErrorClass::Mesh
    )]
    #[case::kubeconfig(
        ExistingError::Kubeconfig(KubeconfigError::NotRead { path: "/k".into(), source: NotRead::NotPlain }),
        "cannot read the kubeconfig: /k: not a regular file, so it is not read; set $KUBECONFIG to use another than ~/.kube/config",
        ErrorClass::Input
    )]
    #[case::plugin(
        ExistingError::Client {
            context: "c".into(),
            source: ClientError::Plugin(PluginError::Nothing { program: "/p".into() }),
        },
        "--context c: the credential plugin /p returned neither a token nor a certificate",
        ErrorClass::Input
    )]
    #[case::name(WorldError::NotUp { name: "a".into() }, "no local target called a is up; start it: meshproof target up --name a", ErrorClass::Input)]
    #[case::image(ImageError::Syntax { given: "x".into() }, "--image x: expected NAME=DIR[,ENTRYPOINT…], for example myapp:dev=./rootfs,/bin/app,--serve", ErrorClass::Input)]
    #[case::state(
        WorldError::State { path: "/s".into(), source: full() },
        "cannot use the state directory /s: disk full; set XDG_RUNTIME_DIR to another directory that you own, with mode 0700",
        ErrorClass::Machine
    )]
    #[case::start(
        BringUpError::World(WorldError::Start(full())),
        "cannot start the local world: disk full",
        ErrorClass::Machine
    )]
    #[case::archive(
        KindError::Image(ArchiveError::Unwritable { path: "/a".into(), source: full() }),
        "cannot write the test bed's image: cannot write the image archive /a: disk full; it needs a writable directory with space for a copy of every file of its images",
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
        "grpc has no a; this build of meshproof does not match its pinned version",
        ErrorClass::Harness
    )]
    fn each_is_the_trouble_of_somebody(
        #[case] error: impl Classified + Send + Sync + 'static,
        #[case] message: &str,
        #[case] class: ErrorClass,
    ) {
        assert_eq!(of(error), (message.to_owned(), class));
    }

    #[test]
    fn an_error_keeps_its_words_its_causes_and_its_class() {
        let source = io::Error::other("disk on fire");
        let path = "/state".into();
        let error = CommandError::of(NotPrivate::Io { path, source });
        let message = "cannot use /state as a directory: disk on fire";
        assert_eq!(
            (chain(&error).as_str(), error.class(), error.exit()),
            (message, ErrorClass::Machine, Exit::Error)
        );
        let ended = CommandError::target_ended("etcd ended");
        assert_eq!(
            (chain(&ended).as_str(), ended.class()),
            ("etcd ended", ErrorClass::Mesh)
        );
    }
}
