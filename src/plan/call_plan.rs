//! The call plan that a caller receives for a probe.

use std::time::Duration;

use testbed::control::CallPlan;

use super::resolve::ResolvedProbe;
use crate::scenario::manifest::{Names, expand};

impl ResolvedProbe {
    /// The plan of these calls to `target`. It has no TLS settings: certificates are generated
    /// while a scenario runs.
    #[must_use]
    pub fn call_plan(&self, id: impl Into<String>, target: String, names: &Names<'_>) -> CallPlan {
        let text = |text: &str| expand(text, names);
        let each = self.request.metadata.iter();
        let each =
            each.flat_map(|(key, values)| values.all().iter().map(move |value| (key, value)));
        let counts = self.request.per_call.iter();
        let mut plan = CallPlan::new(id, target, self.request.call.clone());
        plan.authority = self.request.authority.as_deref().map(text);
        plan.form = self.request.form.clone();
        plan.messages.clone_from(&self.request.messages);
        plan.metadata = each
            .map(|(key, value)| (key.clone(), text(value)))
            .collect();
        plan.per_call = counts.map(|(key, count)| (key.clone(), *count)).collect();
        plan.script.clone_from(&self.request.script);
        plan.stream.clone_from(&self.request.stream);
        plan.pad = self.request.pad;
        plan.deadline_ms = self.request.deadline.map(millis);
        plan.load.times = self.load.times;
        plan.load.connections = self.load.connections;
        plan.load.streams = self.load.streams;
        plan.load.rate = self.load.rate;
        plan.load.reconnect = self.load.reconnect;
        plan
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
