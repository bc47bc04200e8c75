//! What runs inside a container's namespaces before the container's own program: builds the root
//! and drops privileges.
mod enter;
mod error;
mod identity;
mod init;
mod masks;
mod root;
mod spec;

pub use enter::enter_main;
pub(crate) use identity::DEFAULT_PATH;
pub use init::main;
pub use spec::{ContainerSpec, EnterSpec, Identity, MountSpec, RootEntry, StartFailure};
