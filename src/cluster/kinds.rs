//! Kinds as the API server knows them. Plural and scope come from its discovery, requested once
//! for each group version.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::{Client, api::ApiResource};
use tokio::sync::OnceCell;

/// A kind that the server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub resource: ApiResource,
    /// Whether its objects have a namespace.
    pub namespaced: bool,
}

/// Discovered kinds of one API server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Kinds {
    known: Arc<Mutex<BTreeMap<(String, String), Known>>>,
    /// The answer of [`Self::of_groups`]. Its arguments are the same in a whole run.
    of_groups: Arc<OnceCell<Vec<ApiResource>>>,
}

impl Kinds {
    /// The kind. `None` if the server does not have it. Only existing kinds are cached, because a
    /// CRD may be created later.
    ///
    /// # Errors
    /// The API server rejects the request or does not answer.
    pub async fn find(
        &self,
        client: &Client,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<Known>, kube::Error> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.with(|all| all.get(&key).cloned()) {
            return Ok(Some(known));
        }
        let listed = match api_version.contains('/') {
            true => client.list_api_group_resources(api_version).await,
            false => client.list_core_api_resources(api_version).await,
        };
        match listed {
            Ok(listed) => Ok(self.with(|all| {
                all.extend(of(api_version, listed));
                all.get(&key).cloned()
            })),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The kinds with a namespace of all groups whose name is, or ends in, one of `groups`, and
    /// those of `further` (version and kind) that the API server has. Requested once: CRDs that are
    /// created later are not seen.
    ///
    /// # Errors
    /// The API server rejects a request or does not answer.
    pub async fn of_groups(
        &self,
        client: &Client,
        groups: &[&str],
        further: &[(&str, &str)],
    ) -> Result<Vec<ApiResource>, kube::Error> {
        let all = self.of_groups.get_or_try_init(async || {
            let mut all = Vec::new();
            for group in client.list_api_groups().await?.groups {
                if groups.iter().any(|end| group.name.ends_with(end)) {
                    all.extend(namespaced(client, group).await?);
                }
            }
            for (version, kind) in further {
                let known = self.find(client, version, kind).await?;
                all.extend(known.map(|known| known.resource));
            }
            Ok(all)
        });
        all.await.cloned()
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<(String, String), Known>) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The kinds of a group that have a namespace and can be listed, each in the first version that has
/// it: not every version has every kind.
async fn namespaced(client: &Client, group: APIGroup) -> Result<Vec<ApiResource>, kube::Error> {
    let mut kinds: BTreeMap<String, ApiResource> = BTreeMap::new();
    for version in group.versions {
        let version = version.group_version;
        let mut listed = client.list_api_group_resources(&version).await?;
        let can_list = |verbs: &[String]| verbs.iter().any(|verb| verb == "list");
        listed
            .resources
            .retain(|one| one.namespaced && can_list(&one.verbs));
        for ((_, kind), known) in of(&version, listed) {
            kinds.entry(kind).or_insert(known.resource);
        }
    }
    Ok(kinds.into_values().collect())
}

/// Kinds of one group version, without subresources (`deployments/scale`).
fn of(api_version: &str, listed: APIResourceList) -> Vec<((String, String), Known)> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let whole = listed
        .resources
        .into_iter()
        .filter(|one| !one.name.contains('/'));
    let known = whole.map(|one| {
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: api_version.to_owned(),
            kind: one.kind.clone(),
            plural: one.name,
        };
        let namespaced = one.namespaced;
        let known = Known {
            resource,
            namespaced,
        };
        ((api_version.to_owned(), one.kind), known)
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plural_and_scope_are_the_servers() {
        let listed = json!({"kind": "APIResourceList", "groupVersion": "a.test/v1", "resources": [
            {"name": "gateways", "singularName": "gateway", "namespaced": true, "kind": "Gateway", "verbs": []},
            {"name": "gateways/status", "singularName": "", "namespaced": true, "kind": "Gateway", "verbs": []},
            {"name": "meshen", "singularName": "mesh", "namespaced": false, "kind": "Mesh", "verbs": []},
        ]});
        let all = of("a.test/v1", serde_json::from_value(listed).unwrap());
        let plain: Vec<_> = all
            .iter()
            .map(|(_, known)| (known.resource.plural.as_str(), known.namespaced))
            .collect();
        assert_eq!(plain, [("gateways", true), ("meshen", false)]);
        assert_eq!(all[1].1.resource.group, "a.test");
    }
}
