//! Whether Envoy shows a mark, and what it cannot use yet.

use super::admin;
use crate::transport::http::{HttpError, PodPort};

/// What a proxy has taken and cannot use yet. A new cluster is asked for its endpoints only after
/// the routes of the same push have come, and a new port is opened only when the routes of that
/// port have come, which the marker's port does not wait for. A port whose Secret is missing stays
/// closed for as long as it is: that is no matter of time ([`super::certificates`]).
pub async fn unfinished(port: &PodPort, namespace: &str) -> Result<Option<String>, HttpError> {
    let clusters = admin::warming_clusters(port, namespace).await?;
    if !clusters.is_empty() {
        let names = clusters.join(", ");
        return Ok(Some(format!("clusters without endpoints: {names}")));
    }
    let listeners = admin::warming_listeners(port).await?;
    if listeners.is_empty() || admin::awaits_secrets(port).await? {
        return Ok(None);
    }
    let names = listeners.join(", ");
    Ok(Some(format!("listeners that are not open: {names}")))
}

/// The newest number behind a prefix in a dump of routes.
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
