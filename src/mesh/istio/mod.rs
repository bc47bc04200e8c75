//! Istio: installed with its own istioctl, queried through its debug interface.

pub mod capabilities;
pub mod control_plane;
pub mod discovery;
pub mod injection;
pub mod install;
pub mod istioctl;
pub mod profile;
pub mod propagation;
pub mod versions;
