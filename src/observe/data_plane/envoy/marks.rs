//! Which mark Envoy shows, and what it cannot use yet.

use super::admin;
use crate::transport::http::{HttpError, PodPort};

/// Configuration that a proxy has received but cannot use yet. Endpoints of a new cluster are
/// requested only after the routes of the same push have arrived, and a new port is opened only
/// when its own routes have arrived, which the marker's port does not wait for. A port whose
/// Secret is missing stays closed for as long as it is, so it is not waited for here
/// ([`super::certificates`]).
pub async fn unfinished(port: &PodPort, namespace: &str) -> Result<Option<String>, HttpError> {
    let clusters = admin::warming_clusters(port, namespace).await?;
    if !clusters.is_empty() {
        let names = clusters.join(", ");
        return Ok(Some(format!(
            "clusters still waiting for endpoints: {names}"
        )));
    }
    let listeners = admin::warming_listeners(port).await?;
    if listeners.is_empty() || admin::awaits_secrets(port).await? {
        return Ok(None);
    }
    let names = listeners.join(", ");
    Ok(Some(format!("listeners that are not open: {names}")))
}

/// The highest number after a prefix in a dump of routes.
pub fn newest(dump: &str, prefix: &str) -> Option<u64> {
    let digits = |rest: &str| {
        rest.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .ok()
    };
    dump.split(prefix).skip(1).filter_map(digits).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epoch_of_this_namespace_counts() {
        let dump = "…\"a-epoch-3\"…\"a-epoch-12\"…\"b-epoch-40\"";
        assert_eq!(newest(dump, "a-epoch-"), Some(12));
        assert_eq!(newest(dump, "c-epoch-"), None);
    }
}
