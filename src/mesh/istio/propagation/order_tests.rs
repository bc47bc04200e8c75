use rstest::rstest;
use serde_json::json;

use super::*;

fn object(word: &str) -> Value {
    let (kind, name) = word.split_once(' ').expect("KIND NAME");
    let (version, spec) = match kind {
        "VirtualService" => (
            "networking.istio.io/v1",
            json!({"hosts": [name.split('-').next()]}),
        ),
        "DestinationRule" => (
            "networking.istio.io/v1",
            json!({"host": name.split('-').next()}),
        ),
        "Deployment" => ("apps/v1", json!({})),
        _ => ("v1", json!({})),
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// Names by group, with `/` between groups.
fn cut(args: &[&str]) -> String {
    let objects: Vec<Value> = args.iter().map(|word| object(word)).collect();
    let names = |group: &&[Value]| {
        let names = group
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str());
        names.collect::<Vec<_>>().join(" ")
    };
    let groups = groups(&objects, "ns");
    groups.iter().map(names).collect::<Vec<_>>().join(" / ")
}

#[rstest]
#[case::independent(&["VirtualService a", "DestinationRule a", "VirtualService b"], "a a b")]
#[case::one_name(&["DestinationRule one", "VirtualService x", "DestinationRule one"], "one x / one")]
#[case::one_host(&["VirtualService a-z", "VirtualService a-y", "VirtualService b"], "a-z / a-y b")]
#[case::a_namespace_first(&["Namespace n", "VirtualService a", "VirtualService b"], "n / a b")]
#[case::an_account_before_its_pods(&["ServiceAccount s", "Deployment d"], "s / d")]
#[case::nothing(&[], "")]
fn documents_go_side_by_side_where_nothing_hangs_on_order(
    #[case] args: &[&str],
    #[case] groups: &str,
) {
    assert_eq!(cut(args), groups);
}

#[rstest]
#[case::sorts_before("VirtualService a-api", "VirtualService a-page", true)]
#[case::sorts_behind("VirtualService a-page", "VirtualService a-api", false)]
#[case::another_host("VirtualService a-api", "VirtualService b-page", false)]
fn only_what_its_name_puts_first_has_to_be_younger(
    #[case] new: &str,
    #[case] old: &str,
    #[case] found: bool,
) {
    assert_eq!(overtakes(&object(new), &object(old), "ns"), found);
}

#[test]
fn an_age_that_came_out_wrong_is_told() {
    let at = |second: i64| Timestamp::from_second(second).expect("a time");
    let floor = Floor {
        younger: "VirtualService a".to_owned(),
        older: "VirtualService z".to_owned(),
        created: at(7),
    };
    let ordered = Ordered {
        floors: vec![floor],
        ..Ordered::default()
    };
    let written = |second| Written {
        api_version: "networking.istio.io/v1".to_owned(),
        kind: "VirtualService".to_owned(),
        namespace: None,
        name: "a".to_owned(),
        created: Some(at(second)),
        ..Written::default()
    };
    assert!(ordered.check(&[written(8)]).is_ok());
    assert!(ordered.check(&[written(7)]).is_err());
}

/// Names by wave, with `/` between waves.
fn waves(args: &[&str]) -> String {
    let mut objects: Vec<Value> = args.iter().map(|word| object(word)).collect();
    objects.sort_by_key(|object| !is_referred_to(object));
    let mut all = Vec::new();
    while !objects.is_empty() {
        let (now, later) = wave(objects, "ns");
        let names = now
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str());
        all.push(names.collect::<Vec<_>>().join(" "));
        objects = later;
    }
    all.join(" / ")
}

#[rstest]
#[case::accounts_first(&["Deployment d", "Service s", "ServiceAccount a"], "a s / d")]
#[case::nothing_to_wait_for(&["Deployment d", "Service s"], "d s")]
#[case::competing(&["VirtualService a-z", "ConfigMap c", "VirtualService a-y"], "c a-z / a-y")]
fn pods_are_written_after_what_they_refer_to(#[case] args: &[&str], #[case] expected: &str) {
    assert_eq!(waves(args), expected);
}
