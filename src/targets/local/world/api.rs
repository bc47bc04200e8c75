//! Reaching a world's API server, from inside and from outside.

use std::{path::Path, time::Duration};

use kube::Client;
use tokio::time::{Instant, sleep};

use crate::cluster::client;

/// How long the API server may take to answer. Measured: about 3 s on two idle cores; a loaded machine takes several times that.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// A client as soon as the API server says that it is ready. The kubeconfig appears when the world has made its keys.
///
/// # Errors
/// The last answer, after [`DEADLINE`].
pub async fn ready(kubeconfig: &Path) -> Result<Client, String> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match reach(kubeconfig).await {
            Ok(client) => return Ok(client),
            Err(last) if Instant::now() >= deadline => return Err(last),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn reach(kubeconfig: &Path) -> Result<Client, String> {
    let client = client::of(kubeconfig, None).await?;
    let request = http::Request::get("/readyz").body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = client.request_text(request).await;
    answer.map_err(|error| error.to_string())?;
    Ok(client)
}
