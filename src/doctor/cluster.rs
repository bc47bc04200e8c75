//! The cluster target: an existing cluster. Only the API server of the named context is queried.

use std::path::PathBuf;

use super::{
    answer::NoAnswer,
    check::{CheckBuilder, DoctorCheck},
    machine::{self, MachineFacts},
};

/// What is known about the user's kubeconfig and cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    pub machine: MachineFacts,
    /// Files in `KUBECONFIG`, else the default one; and whether each exists.
    pub files: Vec<(PathBuf, bool)>,
    /// Their merged contents, or why they cannot be read.
    pub config: Result<Contexts, String>,
    /// The requested context.
    pub context: Option<String>,
    /// The answer of its API server, if there is such a context.
    pub server: Option<Result<String, NoAnswer>>,
}

/// Contexts of a kubeconfig.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contexts {
    pub names: Vec<String>,
    pub current: Option<String>,
}

/// Everything that the cluster target needs on this machine.
pub fn checks(facts: &ClusterFacts) -> Vec<DoctorCheck> {
    let mut checks = vec![machine::system(&facts.machine), kubeconfig(facts)];
    let any = facts.files.iter().any(|(_, there)| *there);
    if let (Ok(contexts), true) = (&facts.config, any) {
        checks.push(context(contexts, facts.context.as_deref()));
    }
    if let Some(answer) = &facts.server {
        checks.push(server(answer));
    }
    checks
}

fn kubeconfig(facts: &ClusterFacts) -> DoctorCheck {
    let about = CheckBuilder::new(
        "kubeconfig",
        "has the address of the cluster and the credentials",
    );
    let (there, absent): (Vec<_>, Vec<_>) = facts.files.iter().partition(|(_, there)| *there);
    let list = |files: Vec<&(PathBuf, bool)>| {
        let names = files.iter().map(|(path, _)| path.display().to_string());
        Vec::from_iter(names).join(", ")
    };
    let remedy = "set KUBECONFIG to the file of your cluster, or write it to ~/.kube/config (with kind: kind export kubeconfig; the tools of cloud providers have a similar command)";
    match (&facts.config, there.is_empty()) {
        (_, true) if absent.is_empty() => {
            about.missing("neither KUBECONFIG nor HOME is set", remedy)
        }
        (_, true) => about.missing(format!("{}: no such file", list(absent)), remedy),
        (Err(message), false) => about.missing(message, remedy),
        (Ok(_), false) if absent.is_empty() => about.ok(list(there)),
        (Ok(_), false) => about.advice(
            format!("{}; no such file: {}", list(there), list(absent)),
            "remove the missing files from KUBECONFIG",
        ),
    }
}

fn context(contexts: &Contexts, expected: Option<&str>) -> DoctorCheck {
    let about = CheckBuilder::new(
        "context",
        "the cluster target only uses the context that --context names, never the current one by default",
    );
    let names = contexts.names.join(", ");
    match expected {
        _ if contexts.names.is_empty() => about.missing(
            "no context",
            "add a context: kubectl config set-context NAME --cluster CLUSTER --user USER",
        ),
        Some(expected) if contexts.names.iter().any(|name| name == expected) => about.ok(expected),
        Some(expected) => about.missing(
            format!("no context {expected}; known contexts: {names}"),
            "name one of them with --context",
        ),
        None => {
            let current = contexts.current.as_deref().unwrap_or("none");
            about.advice(
                format!("{names} (current: {current})"),
                "name the context to use with --context; then its API server is checked, too",
            )
        }
    }
}

fn server(answer: &Result<String, NoAnswer>) -> DoctorCheck {
    let about = CheckBuilder::new("API server", "a run creates all its objects there");
    match answer {
        Ok(output) => about.ok(output),
        Err(why) => about.missing(
            why.to_string(),
            "check that the cluster is up and that its address in the kubeconfig is right, with kubectl --context NAME version",
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::CheckState::{self, Advice, Missing, Ok};

    fn facts(files: &[(&str, bool)], config: Result<Contexts, &str>) -> ClusterFacts {
        let files = files.iter().map(|(path, there)| (path.into(), *there));
        ClusterFacts {
            machine: MachineFacts::default(),
            files: files.collect(),
            config: config.map_err(str::to_owned),
            context: None,
            server: None,
        }
    }

    #[rstest]
    #[case::answers(Result::Ok("https://a, Kubernetes v1.36.3"), Ok)]
    #[case::closed(Err("https://a: Connection refused"), Missing)]
    fn a_server_that_does_not_answer_is_missing(
        #[case] answer: Result<&str, &str>,
        #[case] state: CheckState,
    ) {
        let mut facts = facts(&[("/a", true)], Result::Ok(Contexts::default()));
        let refused = |message: &str| NoAnswer::Refused(message.to_owned());
        facts.server = Some(answer.map(str::to_owned).map_err(refused));
        assert_eq!(checks(&facts).last().unwrap().state, state);
    }

    #[rstest]
    #[case::there(&[("/a", true)], Result::Ok(Contexts::default()), Ok, "/a")]
    #[case::one_of_two(&[("/a", true), ("/b", false)], Result::Ok(Contexts::default()), Advice, "no such file: /b")]
    #[case::absent(&[("/a", false)], Err("no such file"), Missing, "/a: no such file")]
    #[case::nowhere(&[], Err("no such file"), Missing, "neither KUBECONFIG nor HOME")]
    #[case::broken(&[("/a", true)], Err("mapping values are not allowed"), Missing, "mapping values")]
    fn a_kubeconfig_has_three_outcomes(
        #[case] files: &[(&str, bool)],
        #[case] config: Result<Contexts, &str>,
        #[case] state: CheckState,
        #[case] message: &str,
    ) {
        let check = kubeconfig(&facts(files, config));
        assert!(
            check.state == state && check.found.contains(message),
            "{check:?}"
        );
    }

    #[test]
    fn a_file_that_is_not_there_has_no_contexts_to_miss() {
        let absent = facts(&[("/a", false)], Result::Ok(Contexts::default()));
        let there = facts(&[("/a", true)], Result::Ok(Contexts::default()));
        assert_eq!((checks(&absent).len(), checks(&there).len()), (2, 3));
    }

    #[rstest]
    #[case::listed(&["a", "b"], None, Advice, "a, b (current: a)")]
    #[case::named(&["a", "b"], Some("b"), Ok, "b")]
    #[case::another(&["a", "b"], Some("c"), Missing, "no context c; known contexts: a, b")]
    #[case::none(&[], None, Missing, "no context")]
    fn contexts_are_listed(
        #[case] names: &[&str],
        #[case] expected: Option<&str>,
        #[case] state: CheckState,
        #[case] found: &str,
    ) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let current = names.first().cloned();
        let check = context(&Contexts { names, current }, expected);
        assert_eq!((check.state, check.found.as_str()), (state, found));
    }
}
