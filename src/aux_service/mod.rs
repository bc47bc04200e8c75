//! Auxiliary services: what runs next to the mesh, such as a trace collector or an image registry.
//! Users run them as containers; here they run as containers if a Docker engine responds, and as
//! plain processes otherwise.

#[cfg(feature = "containers")]
mod container;
mod error;
mod process;
mod ready;
mod start;
mod system;
mod tail;

pub use error::AuxServiceError;
pub use start::AuxService;
pub use system::{AuxServiceSpec, ContainerImage, Endpoint, HostProgram, LABEL, ReadinessCheck};
