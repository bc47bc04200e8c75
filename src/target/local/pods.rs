//! The node inside a world: its images and its agent.

use kube::Client;

use super::world::spec::WorldSpec;

/// Runs pods until the world ends.
///
/// # Errors
/// Words that say why the node cannot go on.
pub async fn serve(_spec: &WorldSpec, _client: Client) -> Result<(), String> {
    std::future::pending().await
}
