//! Whether a change has arrived at a proxy.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};

use super::{
    change::{Change, LiveError, Proxy, SUSPICIOUS},
    marker, programs,
};
use crate::{
    errors::chain,
    observe::envoy,
    timeouts::timeouts,
    transport::http::{HttpError, Port},
    wait::{self, Look},
};

/// Updates that each proxy of a batch had rejected before it, by pod.
pub(super) async fn rejections(proxies: impl Iterator<Item = &Proxy>) -> BTreeMap<String, u64> {
    let counts = proxies.map(|proxy| async {
        let count = envoy::rejections(&proxy.admin).await.ok()?;
        Some((proxy.admin.pod.clone(), count))
    });
    join_all(counts).await.into_iter().flatten().collect()
}

pub(super) async fn arrive(
    istiod: &Port,
    change: &Change,
    generation: u64,
    before: &BTreeMap<String, u64>,
) -> Result<(), LiveError> {
    let waits = change.proxies.iter().map(|proxy| async {
        await_marker(proxy, &change.namespace, generation).await?;
        accepted(proxy, before).await
    });
    try_join_all(waits).await?;
    if change.programs.is_empty() {
        return Ok(());
    }
    let mark = (change.namespace.as_str(), generation);
    programs::await_live(istiod, &change.reference, mark, &change.programs).await
}

/// A proxy goes on with its old listeners and clusters when it rejects new ones, and takes the routes all the same.
async fn accepted(proxy: &Proxy, before: &BTreeMap<String, u64>) -> Result<(), LiveError> {
    let pod = &proxy.admin.pod;
    let (Some(before), Ok(now)) = (before.get(pod), envoy::rejections(&proxy.admin).await) else {
        return Ok(());
    };
    if now <= *before {
        return Ok(());
    }
    let words = envoy::rejected(&proxy.admin).await.ok().flatten();
    Err(LiveError::Nack {
        proxy: pod.clone(),
        words: words.unwrap_or_else(|| format!("{} updates", now - before)),
    })
}

/// Waits until a proxy shows the marker of a generation, or of a later one.
///
/// # Errors
/// [`LiveError::Nack`] and [`LiveError::NotLive`].
pub async fn await_marker(
    proxy: &Proxy,
    namespace: &str,
    generation: u64,
) -> Result<(), LiveError> {
    let limit = timeouts().mesh.push;
    let mut asked = false;
    let waited = wait::until(limit, |elapsed| {
        let suspicious = !asked && elapsed > SUSPICIOUS;
        asked |= suspicious;
        shows(proxy, namespace, generation, suspicious)
    });
    waited.await.map_err(|error| {
        error.or_late(|late| LiveError::NotLive {
            proxy: proxy.admin.pod.clone(),
            generation,
            limit,
            last: late.last_seen,
        })
    })
}

/// The proxy shows that generation, and can use all of it. One that is `suspicious` is asked whether it rejected something.
async fn shows(
    proxy: &Proxy,
    namespace: &str,
    generation: u64,
    suspicious: bool,
) -> Result<Look<()>, LiveError> {
    let name = if proxy.gateway {
        "http.*"
    } else {
        marker::ROUTES
    };
    let last = match envoy::routes(&proxy.admin, name).await {
        Ok(dump) => match shown(&dump.to_string(), namespace) {
            Some(shown) if shown >= generation => match unfinished(proxy, namespace).await {
                Ok(None) => return Ok(Look::Met(())),
                Ok(Some(words)) => words,
                Err(error) => chain(&error),
            },
            Some(shown) => format!("generation {shown}"),
            None => "no marker".to_owned(),
        },
        Err(error) => chain(&error),
    };
    if suspicious && let Ok(Some(words)) = envoy::rejected(&proxy.admin).await {
        let proxy = proxy.admin.pod.clone();
        return Err(LiveError::Nack { proxy, words });
    }
    Ok(Look::Unmet(last))
}

/// What a proxy has taken and cannot use yet. A new cluster is asked for its endpoints only after the routes of the same push have come,
/// and a new port is opened only when the routes of that port have come, which the marker's port does not wait for. A port
/// whose Secret is missing stays closed for as long as it is: that is no matter of time ([`super::secrets`]).
async fn unfinished(proxy: &Proxy, namespace: &str) -> Result<Option<String>, HttpError> {
    let clusters = envoy::warming_clusters(&proxy.admin, namespace).await?;
    if !clusters.is_empty() {
        let names = clusters.join(", ");
        return Ok(Some(format!("clusters without endpoints: {names}")));
    }
    let listeners = envoy::warming_listeners(&proxy.admin).await?;
    if listeners.is_empty() || envoy::awaits_secrets(&proxy.admin).await? {
        return Ok(None);
    }
    let names = listeners.join(", ");
    Ok(Some(format!("listeners that are not open: {names}")))
}

/// The newest generation of a namespace that a dump of routes names.
pub(super) fn shown(dump: &str, namespace: &str) -> Option<u64> {
    let prefix = marker::route(namespace, 0);
    let prefix = &prefix[..prefix.len() - 1];
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
    fn the_newest_generation_of_this_namespace_counts() {
        let dump = "…\"a-generation-3\"…\"a-generation-12\"…\"b-generation-40\"";
        assert_eq!(shown(dump, "a"), Some(12));
        assert_eq!(shown(dump, "c"), None);
    }
}
