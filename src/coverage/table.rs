//! The table in `docs/coverage.md`.

use std::fmt::Write as _;

use super::{
    claims::Claims,
    fields::{Hand, Written},
};

const HEAD: &str = "# Which fields of what istiod sends are claimed

`meshproof mutate --coverage DIR` generates this page from the evidence of a run
(`meshproof run --report-dir DIR`). It lists every field of the listener, filter chain, connection
manager, route configuration, virtual host, route and cluster that handled a gRPC call. A field is
claimed if a scenario states its value or its effect. A mutation that changes the field and is
caught shows that the claim can fail. `docs/coverage.yaml` lists which fields are covered by
behaviour, and why the others are not claimed.

";

/// Markdown, one table for each part.
pub fn markdown(written: &Written, claims: &Claims) -> String {
    let mut text = HEAD.to_owned();
    let (mut claimed, mut last) = (0, None);
    let mut body = String::new();
    for ((part, path), hands) in written {
        if last != Some(*part) {
            let _ = write!(
                body,
                "\n## {}\n\n| field | at | claimed by | mutations caught |\n|---|---|---|---|\n",
                part.as_str()
            );
            last = Some(*part);
        }
        let (scenarios, mutations) = claims.of(*part, path);
        claimed += usize::from(!scenarios.is_empty());
        let by = match scenarios.is_empty() {
            false => list(scenarios),
            true => {
                let reason = claims.reason(*part, path);
                format!("not claimed: {}", reason.unwrap_or("not examined yet"))
            }
        };
        let at: Vec<&str> = hands.iter().map(|hand: &Hand| hand.as_str()).collect();
        let _ = writeln!(
            body,
            "| `{path}` | {} | {by} | {} |",
            at.join(", "),
            list(mutations)
        );
    }
    let _ = writeln!(text, "{claimed} of {} fields are claimed.", written.len());
    text + &body
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names = names.into_iter().map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}
