//! A cluster made with kind (Kubernetes in containers), with Istio on it. Nothing here is special
//! to this machine: everything after the cluster's creation goes through its API server.

mod autopsy;
mod bring_up;
mod cause;
mod error;
mod images;
mod made_of;
mod members;
mod mirror;
mod nodes;
mod program;
mod record;

pub use bring_up::{Kind, KindOptions, check_name};
pub use error::KindError;
pub use images::Images;
pub use made_of::{CLUSTER, ISTIO, MadeOf};
pub use mirror::{Mirror, Own};
pub use nodes::Nodes;
pub use program::Program;
pub use record::Record;
