//! Istio: installed by its own istioctl, asked by its own debug interface.

pub mod capabilities;
pub mod control_plane;
pub mod discovery;
pub mod injection;
pub mod install;
pub mod istioctl;
pub mod profile;
pub mod propagation;
pub mod versions;
