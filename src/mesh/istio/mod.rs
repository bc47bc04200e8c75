//! Istio: installed by its own istioctl, asked by its own debug interface.

pub mod arrival;
pub mod capabilities;
pub mod change;
pub mod compete;
pub mod contents;
pub mod control_plane;
pub mod endpoints;
pub mod found;
pub mod gateway_api;
pub mod injection;
pub mod install;
pub mod istioctl;
pub mod live;
pub mod marker;
pub mod order;
pub mod profile;
pub mod secrets;
pub mod shards;
mod taken;
pub mod versions;
