//! Finds the configuration of the hop that handled a call in a proxy's configuration dump (Envoy
//! admin API, `/config_dump`).

use serde_json::Value;

use crate::observe::data_plane::hop::{Hop, Part, Taken};

/// Name of the network filter for HTTP.
const MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// Adds the parts of `dump` that handled a call.
pub fn find(dump: &Value, taken: &Taken, hop: &mut Hop) {
    let managers = managers(dump);
    // Static ones are read from the connection managers. The dump's own list of them includes
    // those of draining listeners.
    let mut tables: Vec<&Value> = each(dump, "dynamic_route_configs")
        .filter_map(|entry| entry.get("route_config"))
        .collect();
    tables.extend(
        managers
            .iter()
            .filter_map(|found| found.2.get("route_config")),
    );
    let clusters = clusters(dump, &taken.cluster);
    for cluster in &clusters {
        add(hop, Part::Cluster, cluster);
    }
    let names = clusters
        .iter()
        .filter_map(|cluster| cluster["name"].as_str());
    let names: Vec<&str> = names.collect();
    for (table, host, route) in routes(&tables, taken, &names) {
        add(hop, Part::RouteConfiguration, table);
        add(hop, Part::VirtualHost, host);
        add(hop, Part::Route, route);
        for (listener, chain, manager) in &managers {
            if table_of(manager) == table["name"].as_str() {
                add(hop, Part::Listener, listener);
                add(hop, Part::FilterChain, chain);
                add(hop, Part::ConnectionManager, manager);
            }
        }
    }
}

fn add(hop: &mut Hop, part: Part, value: &Value) {
    let found = hop.entry(part).or_default();
    if !found.contains(value) {
        found.push(value.clone());
    }
}

/// Clusters with the name in the log, which is their name or their alternative statistics name.
fn clusters<'a>(dump: &'a Value, called: &str) -> Vec<&'a Value> {
    let all = each(dump, "dynamic_active_clusters").chain(each(dump, "static_clusters"));
    let all = all.filter_map(|entry| entry.get("cluster"));
    let named = |cluster: &&Value| cluster["name"] == called || cluster["alt_stat_name"] == called;
    all.filter(named).collect()
}

/// Entries of a list in any section of the dump.
fn each<'a>(dump: &'a Value, list: &'a str) -> impl Iterator<Item = &'a Value> {
    let sections = dump["configs"].as_array().into_iter().flatten();
    sections.flat_map(move |section| section[list].as_array().into_iter().flatten())
}

/// Listener, filter chain and connection manager of every HTTP filter.
fn managers(dump: &Value) -> Vec<(&Value, &Value, &Value)> {
    let mut found = Vec::new();
    let dynamic = each(dump, "dynamic_listeners");
    let dynamic = dynamic.filter_map(|entry| entry.pointer("/active_state/listener"));
    for listener in dynamic {
        let chains = listener["filter_chains"].as_array().into_iter().flatten();
        for chain in chains.chain(listener.get("default_filter_chain")) {
            let filters = chain["filters"].as_array().into_iter().flatten();
            let http = filters.filter(|filter| filter["name"] == MANAGER);
            found.extend(http.map(|filter| (listener, chain, &filter["typed_config"])));
        }
    }
    found
}

/// Name of the route configuration that a connection manager uses.
fn table_of(manager: &Value) -> Option<&str> {
    let by_name = manager.pointer("/rds/route_config_name");
    by_name
        .or_else(|| manager.pointer("/route_config/name"))?
        .as_str()
}

/// Routes with this name to the cluster, each with its route configuration and virtual host. If a
/// virtual host names the authority, only such virtual hosts are kept.
fn routes<'a>(
    tables: &[&'a Value],
    taken: &Taken,
    clusters: &[&str],
) -> Vec<(&'a Value, &'a Value, &'a Value)> {
    let mut found = Vec::new();
    for table in tables {
        for host in table["virtual_hosts"].as_array().into_iter().flatten() {
            let routes = host["routes"].as_array().into_iter().flatten();
            let ours = routes.filter(|route| {
                route["name"].as_str().unwrap_or_default() == taken.route
                    && clusters.iter().any(|cluster| leads_to(route, cluster))
            });
            found.extend(ours.map(|route| (*table, host, route)));
        }
    }
    let (host, _) = taken
        .authority
        .rsplit_once(':')
        .unwrap_or((taken.authority.as_str(), ""));
    let names = |domains: &Value| {
        let domains = domains.as_array().into_iter().flatten();
        let mut domains = domains.filter_map(Value::as_str);
        domains.any(|domain| domain == taken.authority || domain == host)
    };
    if found.iter().any(|(_, host, _)| names(&host["domains"])) {
        found.retain(|(_, host, _)| names(&host["domains"]));
    }
    found
}

fn leads_to(route: &Value, cluster: &str) -> bool {
    let weighted = route.pointer("/route/weighted_clusters/clusters");
    let mut weighted = weighted.and_then(Value::as_array).into_iter().flatten();
    route
        .pointer("/route/cluster")
        .is_some_and(|name| name == cluster)
        || weighted.any(|one| one["name"] == cluster)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::observe::data_plane::hop::at;
    use serde_json::json;

    fn dump() -> Value {
        let host = |domain: &str, timeout: &str| {
            json!({"domains": [domain], "routes": [
                {"name": "default", "route": {"cluster": "c", "timeout": timeout}},
                {"name": "other", "route": {"cluster": "c"}}]})
        };
        let manager = |table: &str| json!({"name": MANAGER, "typed_config": {"rds": {"route_config_name": table}, "stat_prefix": table}});
        json!({"configs": [
            {"dynamic_active_clusters": [{"cluster": {"name": "c", "alt_stat_name": "c;", "lb_policy": "RANDOM"}}, {"cluster": {"name": "d"}}]},
            {"dynamic_listeners": [
                {"active_state": {"listener": {"name": "l", "filter_chains": [{"filters": [manager("50051")]}]}}},
                {"active_state": {"listener": {"name": "m", "default_filter_chain": {"filters": [manager("80")]}}}}]},
            {"dynamic_route_configs": [{"route_config": {"name": "50051", "virtual_hosts": [host("a", "1s"), host("b", "2s")]}}]},
        ]})
    }

    fn hop(authority: &str) -> Hop {
        let taken = Taken {
            cluster: "c;".into(),
            route: "default".into(),
            authority: authority.into(),
        };
        let mut hop = Hop::new();
        find(&dump(), &taken, &mut hop);
        hop
    }

    #[test]
    fn the_hop_is_found_from_the_log_line() {
        let hop = hop("b:50051");
        let one = |part: Part, pointer: &str| {
            assert_eq!(hop[&part].len(), 1, "{part:?}");
            at(&hop[&part][0], pointer).cloned()
        };
        assert_eq!(one(Part::Route, "/route/timeout"), Some(json!("2s")));
        assert_eq!(one(Part::Cluster, "/lb_policy"), Some(json!("RANDOM")));
        assert_eq!(one(Part::Listener, "/name"), Some(json!("l")));
        assert_eq!(
            one(Part::ConnectionManager, "/stat_prefix"),
            Some(json!("50051"))
        );
        assert_eq!(
            one(
                Part::FilterChain,
                &format!("/filters/{MANAGER}/typed_config/stat_prefix")
            ),
            Some(json!("50051"))
        );
        assert_eq!(one(Part::Route, "/route/retry_policy/num_retries"), None);
    }

    #[test]
    fn what_the_log_leaves_open_stays_open() {
        assert_eq!(hop("nobody")[&Part::Route].len(), 2);
    }

    #[test]
    fn a_line_without_a_cluster_is_no_hop() {
        let line = BTreeMap::from([("upstream_cluster".to_owned(), "-".to_owned())]);
        assert_eq!(Taken::of(&line), None);
    }
}
