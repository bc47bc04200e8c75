//! A cluster created with kind (Kubernetes in containers), with Istio installed. After its
//! creation, everything goes through its API server; nothing depends on this machine.

mod bring_up;
mod cause;
mod diagnose;
mod error;
mod images;
mod made_of;
mod mirror;
mod nodes;
mod program;
mod record;
mod topology;

pub use bring_up::{KindCluster, KindOptions, check_name};
pub use error::KindError;
pub use images::Images;
pub use made_of::{CLUSTER, ISTIO, MadeOf};
pub use mirror::{Mirror, Own};
pub use program::ContainerTool;
pub use record::Record;
pub use topology::Nodes;
