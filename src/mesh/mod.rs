//! What runs on a target: the mesh, its installation, and "has this configuration arrived".

pub mod istio;
