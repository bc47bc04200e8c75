//! Side systems: what stands beside the mesh in a run, such as a collector of spans or a registry
//! of images. Users run them as containers; here they run as containers where a Docker engine
//! answers, and as plain processes elsewhere.

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
