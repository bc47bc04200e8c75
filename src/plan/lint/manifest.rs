//! Rules of Kubernetes manifests: what a scenario applies, and its own workloads.

use std::{collections::HashMap, sync::Arc};

use super::placeholders::bad_placeholders;
use crate::{
    scenario::{
        finding::{Finding, did_you_mean},
        kinds::{is_cluster_scoped, served_instead},
        loaded::{LoadedScenario, SiblingFile},
        objects::{Object, objects},
        reach::reaches,
        verb::{Step, spec::Fate},
    },
    yaml::Position,
};

use crate::plan::isolation::OUTSIDE;

type Findings = Vec<Finding>;

/// What a file may contain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Objects in other namespaces, and cluster-scoped ones.
    pub outside: bool,
    /// Kinds that no API server knows: the scenario claims that they are rejected.
    pub unknown_kinds: bool,
    /// Configuration that affects other scenarios: this one runs alone.
    pub reach: bool,
}

/// Checks every file that the scenario applies or creates workloads from, and reports files beside
/// it that nothing uses.
pub fn lint(loaded: &LoadedScenario, findings: &mut Findings) {
    let allowed = Allowed {
        outside: loaded.scenario.needs.iter().any(|need| need == OUTSIDE),
        unknown_kinds: false,
        reach: loaded.scenario.serial,
    };
    let mut read: Vec<&str> = Vec::new();
    for (at, step) in loaded.scenario.steps.iter().enumerate() {
        let Some(written) = step.file() else { continue };
        let (path, name) = (step.path(at, written.field), written.name);
        let unknown_kinds = written.fate == Fate::UnknownKind;
        if read.contains(&name) {
            continue;
        }
        read.push(name);
        let allowed = Allowed {
            unknown_kinds,
            ..allowed
        };
        file(loaded, &path, name, allowed, findings);
    }
    if loaded.is_variant() {
        return;
    }
    unused(loaded, findings);
    let mut own: Vec<&str> = Vec::new();
    for (at, workload) in loaded.scenario.workloads.iter().enumerate() {
        if own.contains(&workload.template.as_str()) {
            continue;
        }
        own.push(&workload.template);
        match loaded.workload(&workload.template) {
            Ok(Some(beside)) => findings.extend(manifest(&beside, allowed)),
            Ok(None) => {}
            Err(error) => {
                let path = format!("workloads[{at}].template");
                findings.push(loaded.at_value(&path, error.to_string(), error.help()));
            }
        }
    }
}

/// The file exists and contains Kubernetes objects.
fn file(
    loaded: &LoadedScenario,
    path: &str,
    name: &str,
    allowed: Allowed,
    findings: &mut Findings,
) {
    let expected = loaded.config_path(name);
    let expected = expected.rsplit('/').next().unwrap_or_default();
    match loaded.config(name) {
        Ok(Some(beside)) => findings.extend(manifest(&beside, allowed)),
        Ok(None) => {
            let message = format!("{expected} not found beside this file");
            findings.push(loaded.at_value(path, message, missing(loaded, name)));
        }
        Err(error) => {
            findings.push(Finding::from_load(&error));
        }
    }
}

/// Help for a missing file, by what exists instead.
fn missing(loaded: &LoadedScenario, name: &str) -> String {
    let files = loaded.own_files().unwrap_or_default();
    let yml = format!("{name}.yml");
    if files.contains(&yml) {
        return format!("a file ending in {yml} exists: rename it to .yaml");
    }
    let names: Vec<&str> = files
        .iter()
        .filter_map(|file| file.strip_suffix(".yaml"))
        .collect();
    match names.as_slice() {
        [] => "create it with the mesh's own configuration as plain YAML".to_owned(),
        names => format!(
            "create it with the mesh's own configuration as plain YAML ({})",
            did_you_mean(name, names)
        ),
    }
}

/// Files of the scenario that no step names.
fn unused(loaded: &LoadedScenario, findings: &mut Findings) {
    let files = loaded.scenario.steps.iter().filter_map(Step::file);
    let files: Vec<&str> = files.map(|file| file.name).collect();
    let used = |name: &str| files.contains(&name);
    for rest in loaded.own_files().unwrap_or_default() {
        let Some(name) = rest.strip_suffix(".yaml") else {
            continue;
        };
        // The variant in the other dialect uses these instead of the files applied here.
        let variants = match name.strip_suffix("gateway-api") {
            Some("") => used("istio"),
            Some(stem) => used(stem.trim_end_matches('.')),
            None => false,
        };
        if !used(name) && !variants {
            let message = format!("no step uses the file ….{name}.yaml beside this one");
            let help = "apply it in a step, or remove it";
            findings.push(loaded.at("steps", message, help).warning());
        }
    }
}

/// All findings about the objects of one file.
pub fn manifest(beside: &SiblingFile, allowed: Allowed) -> Findings {
    let text: Arc<str> = beside.text.as_str().into();
    let check = Check {
        beside,
        text: &text,
        allowed,
    };
    if let Some(finding) = check.template() {
        return vec![finding];
    }
    let mut findings = bad_placeholders(&beside.file, &text);
    let all = match objects(&text) {
        Ok(all) => all,
        Err(error) => {
            let help = if error.message.contains("duplicate key") {
                "remove one of the two: kubectl rejects duplicate keys too"
            } else {
                "the file must be YAML, with documents separated by ---"
            };
            findings.push(check.at(error.position, error.message, help));
            return findings;
        }
    };
    if all.is_empty() {
        let help = "write at least one object, or remove the step";
        findings.push(check.at(Position::default(), "the file contains no object", help));
    }
    for object in all.iter().take(MOST) {
        if findings.len() > TOLD {
            break;
        }
        check.object(object, &mut findings);
    }
    if all.len() > MOST {
        let message = format!("{} objects in one file", all.len());
        let help = format!("at most {MOST}: split the scenario");
        findings.push(check.at(all[MOST].key(""), message, help));
    }
    check.doubled(&all, &mut findings);
    findings
}

/// Most objects in one file.
const MOST: usize = 500;
/// Most findings about the objects of one file.
const TOLD: usize = 50;

struct Check<'a> {
    beside: &'a SiblingFile,
    text: &'a Arc<str>,
    allowed: Allowed,
}

impl Check<'_> {
    fn at(
        &self,
        position: Position,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        Finding::new(&self.beside.file, self.text, position, message, help)
    }

    /// A file that another tool renders into manifests.
    fn template(&self) -> Option<Finding> {
        if let Some(offset) = helm(self.text) {
            let position = Position::at(self.text, offset, 2);
            let help = "render it first: `helm template CHART -s templates/FILE > …`, then replace what varies with placeholders";
            return Some(self.at(position, "this is a Helm template", help));
        }
        let first = |key: &str| self.text.lines().position(|line| line.starts_with(key));
        let line = first("kind: Kustomization").or_else(|| {
            let parts = ["resources:", "bases:", "patches:", "patchesStrategicMerge:"];
            let plain = first("kind:").is_none() && first("metadata:").is_none();
            plain.then(|| parts.iter().find_map(|key| first(key)))?
        })?;
        let offset = self
            .text
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let position = Position::at(self.text, offset, 1);
        let help = "run `kustomize build FOLDER > …` and apply what it prints";
        Some(self.at(position, "this is a kustomization", help))
    }

    fn object(&self, object: &Object, findings: &mut Findings) {
        if !object.value.is_object() {
            let message = "this document is not an object";
            findings.push(self.at(
                object.key(""),
                message,
                "write apiVersion, kind, metadata, spec",
            ));
            return;
        }
        for (key, pointer) in [
            ("apiVersion", "/apiVersion"),
            ("kind", "/kind"),
            ("metadata.name", "/metadata/name"),
        ] {
            match object.value.pointer(pointer) {
                Some(value) if value.is_string() => {}
                Some(value) if key == "metadata.name" && !value.is_null() => {
                    let message = format!("the name {value} is not a string");
                    findings.push(self.at(object.value(key), message, "put it in quotes"));
                }
                _ => {
                    let message = format!("this object has no {key}");
                    findings.push(self.at(object.key(key), message, no_key(object, key)));
                }
            }
        }
        self.message(object, findings);
        self.version(object, findings);
        self.namespace(object, findings);
        self.reach(object, findings);
        if !object.dropped.is_empty() {
            let message = format!("left out when applied: {}", object.dropped.join(", "));
            let help = "an API server fills these in; delete them here to silence this warning";
            let position = object.key(object.dropped[0]);
            findings.push(self.at(position, message, help).warning());
        }
    }

    /// Fields that become part of an API path.
    fn message(&self, object: &Object, findings: &mut Findings) {
        let rules: [(&str, &str, &str); 4] = [
            ("apiVersion", "/apiVersion", "./-"),
            ("kind", "/kind", ""),
            ("metadata.name", "/metadata/name", ".-:_${}"),
            ("metadata.namespace", "/metadata/namespace", ".-:_${}"),
        ];
        for (key, pointer, marks) in rules {
            let plain = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
            let Some(text) = object.text(pointer) else {
                continue;
            };
            let bad = text.is_empty()
                || text.len() > 253
                || !text.chars().all(plain)
                || text.contains("..")
                || text == "."
                || text.matches('/').count() > 1;
            if bad {
                let message = format!("'{text}' cannot be the {key} of an object");
                let help = "write it as Kubernetes does: letters, digits, dots and dashes";
                findings.push(self.at(object.value(key), message, help));
            }
        }
    }

    /// API versions that are no longer served for this kind.
    fn version(&self, object: &Object, findings: &mut Findings) {
        let (Some(version), Some(kind)) = (object.text("/apiVersion"), object.text("/kind")) else {
            return;
        };
        if self.allowed.unknown_kinds {
            return;
        }
        if let Some(help) = served_instead(version, kind) {
            let message = format!("{version} {kind} is no longer served");
            findings.push(self.at(object.value("apiVersion"), message, help));
        }
    }

    /// Objects must be in the scenario's own namespace.
    fn namespace(&self, object: &Object, findings: &mut Findings) {
        if self.allowed.outside {
            return;
        }
        let kind = object.text("/kind").unwrap_or_default();
        let name = object.text("/metadata/name").unwrap_or_default();
        // Additional namespaces of the scenario start with the name of its own.
        let further = kind == "Namespace" && name != OWN && is_own(name);
        let version = object.text("/apiVersion").unwrap_or_default();
        let scoped = is_cluster_scoped(version, kind);
        if scoped && !further {
            let message = format!("a {kind} is cluster-scoped: it would affect the whole cluster");
            let help = format!(
                "remove it; a scenario that must write outside its namespace declares `needs: [{OUTSIDE}]`"
            );
            findings.push(self.at(object.value("kind"), message, help));
            return;
        }
        let Some(namespace) = object.value.pointer("/metadata/namespace") else {
            return;
        };
        let shown = namespace.as_str().unwrap_or("this");
        if !is_own(shown) && !namespace.is_null() && !scoped {
            let message = format!("this object would be created in namespace '{shown}'");
            let help = format!(
                "omit `namespace` or set it to ${{namespace}}, the scenario's own; a scenario that must write elsewhere declares `needs: [{OUTSIDE}]`"
            );
            findings.push(self.at(object.value("metadata.namespace"), message, help));
        }
    }

    /// What affects other scenarios.
    fn reach(&self, object: &Object, findings: &mut Findings) {
        if self.allowed.reach {
            return;
        }
        // `namespace` reports the namespace of an object.
        let inside = |at: &str| !at.starts_with("metadata.");
        for reach in reaches(&object.value)
            .iter()
            .filter(|reach| inside(&reach.at))
        {
            let message = format!("{}: the scenario runs alone", reach.message);
            let help = format!("{}; or set `serial: true`", reach.help);
            let position = object.value(&reach.at);
            findings.push(self.at(position, message, help).warning());
        }
    }

    /// Two objects with the same name: the second would silently replace the first.
    fn doubled(&self, all: &[Object], findings: &mut Findings) {
        let mut seen: HashMap<_, usize> = HashMap::new();
        for object in all {
            let Some(address) = object.address() else {
                continue;
            };
            let line = object.value("metadata.name").line;
            let (kind, name) = (address.1.clone(), address.3.clone());
            if let Some(first) = seen.insert(address, line) {
                if findings.len() > TOLD {
                    return;
                }
                let message = format!("duplicate {kind} '{name}': the first is on line {first}");
                let help = "rename it, or move it to a file that a later step applies: here it would replace the first";
                findings.push(self.at(object.value("metadata.name"), message, help));
            }
        }
    }
}

const OWN: &str = "${namespace}";

/// The scenario's namespace, or an additional one named after it.
fn is_own(namespace: &str) -> bool {
    let rest = namespace.strip_prefix(OWN);
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && rest.len() > 1))
}

fn no_key(object: &Object, key: &str) -> &'static str {
    if key == "metadata.name" && object.text("/metadata/generateName").is_some() {
        return "give it a fixed name: `generateName` would create another object on every apply";
    }
    "every Kubernetes object needs one"
}

/// Keywords that start actions of Go templates in charts (`text/template`, Helm's functions).
const ACTIONS: [&str; 13] = [
    "if", "else", "end", "range", "with", "define", "template", "include", "block", "toYaml",
    "tpl", "required", "default",
];

/// How many openings (`{{`) are examined: in a template, one of them starts an action. Longest
/// action, in bytes.
const LOOKED_AT: usize = 1000;
const ACTION: usize = 200;

/// Offset of the first action of a Helm template: `{{ .Values.x }}`, `{{- if … }}`, `{{ $x }}`,
/// `{{/* … */}}`.
fn helm(text: &str) -> Option<usize> {
    let openings = text.match_indices("{{").map(|(at, _)| at);
    openings.take(LOOKED_AT).find(|at| {
        let rest = &text[at + 2..];
        let mut end = rest.len().min(ACTION);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let line = rest[..end].lines().next().unwrap_or_default();
        let inner = line.trim_start_matches('-').trim_start();
        let word = inner.split(|c: char| !c.is_ascii_alphanumeric()).next();
        let names = [
            ".Values",
            ".Release",
            ".Chart",
            ".Capabilities",
            ".Files",
            ".Template",
            "$",
            "/*",
        ];
        let begins = names.iter().any(|name| inner.starts_with(name))
            || (inner.starts_with('.') && line.contains("}}"));
        begins || (line.contains("}}") && word.is_some_and(|word| ACTIONS.contains(&word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let beside = SiblingFile {
            file: "x.istio.yaml".into(),
            text: text.into(),
        };
        let all = manifest(&beside, Allowed::default());
        all.iter().map(Finding::plain).collect()
    }

    #[rstest::rstest]
    #[case::bare(
        "a: 1\nb:\n- {{ .Values.host }}\n",
        "3:3: this is a Helm template; render it first"
    )]
    #[case::quoted("a: \"{{ .Values.host }}\"\n", "1:5: this is a Helm template")]
    #[case::dash("{{- if .Values.on }}\na: 1\n", "1:1: this is a Helm template")]
    #[case::include(
        "a: 1\n{{ include \"x\" . | indent 2 }}\n",
        "2:1: this is a Helm template"
    )]
    #[case::kustomization(
        "# ours\nresources:\n- a.yaml\n",
        "2:1: this is a kustomization; run `kustomize build"
    )]
    #[case::kustomize_kind(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
        "2:1: this is a kustomization"
    )]
    #[case::twice_in_a_map(
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec:\n  host: a\n  host: b\n",
        "6:3: duplicate key 'host': already used on line 5"
    )]
    #[case::doubled(
        "apiVersion: x.io/v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: x.io/v1beta1\nkind: A\nmetadata: {name: a}\n",
        "7:18: duplicate A 'a': the first is on line 3"
    )]
    #[case::elsewhere(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: kube-system}\n",
        "3:32: this object would be created in namespace 'kube-system'; omit `namespace`"
    )]
    #[case::everywhere(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",
        "2:7: a Namespace is cluster-scoped"
    )]
    #[case::in_a_list(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a, namespace: default}\n",
        "6:34: this object would be created in namespace 'default'"
    )]
    #[case::outdated(
        "apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: a}\n",
        "1:13: networking.k8s.io/v1beta1 Ingress is no longer served; write networking.k8s.io/v1"
    )]
    #[case::every_host(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}\n",
        "4:110: warning: Gateway a claims every host on the shared gateway: the scenario runs alone; use `${host}`"
    )]
    #[case::no_path(
        "apiVersion: v1\nkind: ../../x\nmetadata: {name: a}\n",
        "2:7: '../../x' cannot be the kind"
    )]
    #[case::nameless(
        "apiVersion: v1\nkind: A\nmetadata: {generateName: a-}\n",
        "3:1: this object has no metadata.name; give it a fixed name"
    )]
    #[case::filled_in(
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\nstatus: {}\n",
        "4:1: warning: left out when applied: status"
    )]
    fn what_is_pasted_has_a_place_and_a_way_out(#[case] text: &str, #[case] expected: &str) {
        let lines = found(text);
        let hit = lines
            .iter()
            .any(|line| line.starts_with(&format!("x.istio.yaml:{expected}")));
        assert!(hit, "{lines:#?}");
    }

    #[rstest::rstest]
    #[case("apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: \"${namespace}\"}\n")]
    #[case("apiVersion: v1\nkind: A\nmetadata: {name: a, namespace: \"${namespace}-third\"}\n")]
    #[case("apiVersion: v1\nkind: Namespace\nmetadata: {name: \"${namespace}-third\"}\n")]
    #[case("\u{feff}apiVersion: v1\r\nkind: A\r\nmetadata: {name: a}\r\n...\n---\n")]
    #[case(
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\napiVersion: v1\nkind: B\nmetadata: {name: a}\n"
    )]
    #[case(
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: {lua: 'local x = {{1, 2}, {3}}', json: '{\"a\": {\"b\": {}}}'}\n"
    )]
    fn what_is_right_has_no_findings(#[case] text: &str) {
        assert_eq!(found(text), [""; 0]);
    }
}
