//! What lint knows besides the scenario's files.

use std::collections::BTreeSet;

use crate::verdict::Rates;

/// Facts that are not in the scenario's files.
#[derive(Debug, Clone, Default)]
pub struct LintContext {
    /// Error rates that sample sizes are checked against.
    pub rates: Rates,
    /// Names in `fixtures/workloads`; `None`: not checked.
    pub workloads: Option<BTreeSet<String>>,
    /// `package.Service/Method` of the test servers; `None`: not checked.
    pub methods: Option<BTreeSet<String>>,
}

impl LintContext {
    /// The methods of the test servers and the given rates; `workloads` are the names in
    /// `fixtures/workloads`.
    pub fn new(rates: Rates, workloads: Option<BTreeSet<String>>) -> Self {
        let services = testbed::proto::pool().services();
        let methods = services.flat_map(|service| {
            let methods = service.methods().map(|method| method.name().to_owned());
            let name = service.full_name().to_owned();
            methods
                .map(move |method| format!("{name}/{method}"))
                .collect::<Vec<_>>()
        });
        Self {
            rates,
            workloads,
            methods: Some(methods.collect()),
        }
    }
}
