//! Captions of evidence files for the reports.

/// Returns what an evidence file contains, or its name if nothing more is known.
pub fn caption(file: &str) -> String {
    if let Some(pod) = file.strip_suffix(".istio-proxy.log") {
        return format!("last lines of the proxy's log in pod {pod}");
    }
    if let Some((number, manifest)) = file
        .strip_prefix("manifests/")
        .and_then(|rest| rest.split_once('-'))
    {
        return format!(
            "{manifest} as applied (number {number}), with the metadata and warnings of the API server"
        );
    }
    let step = file
        .strip_prefix("step-")
        .and_then(|rest| rest.split_once('-'));
    match (step, file.rsplit_once('.')) {
        (Some((number, _)), Some((_, "jsonl"))) => format!(
            "calls of step {number} as the caller saw them, then the attempts that servers recorded; the first of each"
        ),
        (Some((number, _)), Some((_, "png"))) => format!("the browser's page in step {number}"),
        _ if file == "pods.txt" => {
            "the scenario's pods; for those that are not ready, events and last log lines"
                .to_owned()
        }
        _ => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "pods.txt",
        "the scenario's pods; for those that are not ready, events and last log lines"
    )]
    #[case(
        "manifests/01-a.istio.yaml",
        "a.istio.yaml as applied (number 01), with the metadata and warnings of the API server"
    )]
    #[case(
        "step-3-routed[gold].jsonl",
        "calls of step 3 as the caller saw them, then the attempts that servers recorded; the first of each"
    )]
    #[case("step-12-web.png", "the browser's page in step 12")]
    #[case(
        "caller-7c9f.istio-proxy.log",
        "last lines of the proxy's log in pod caller-7c9f"
    )]
    #[case("other.txt", "other.txt")]
    fn a_file_says_what_it_is(#[case] file: &str, #[case] message: &str) {
        assert_eq!(caption(file), message);
    }
}
