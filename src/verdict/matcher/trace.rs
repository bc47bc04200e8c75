//! `trace`: the trace context of every attempt at its server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::Rates;
use testbed::control::Attempt;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::verdict::{
    calls::Calls,
    fields,
    judgement::{Judgement, every_attempt},
};

/// The trace context with which every attempt must arrive at its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trace {
    pub header: TraceHeader,
    /// The trace id that must arrive. The default is any.
    #[serde(default)]
    pub id: Option<String>,
    /// The span id that the client sent. The server must receive another one, since a proxy adds a
    /// span.
    #[serde(default)]
    pub client_span: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TraceHeader {
    /// `traceparent` (W3C Trace Context).
    W3c,
    /// `x-b3-traceid` and `x-b3-spanid` (B3, several headers).
    B3,
}

impl TraceHeader {
    /// The trace id and span id of an attempt.
    pub fn context(self, attempt: &Attempt) -> Option<(&str, &str)> {
        // Of two headers, neither is valid (W3C Trace Context, section 3.2: a single header).
        let find = |key: &str| fields::only(&attempt.metadata, key);
        match self {
            TraceHeader::B3 => Some((find("x-b3-traceid")?, find("x-b3-spanid")?)),
            // version "-" trace-id "-" parent-id "-" flags (W3C Trace Context, section 3.2)
            TraceHeader::W3c => {
                let mut parts = find("traceparent")?.split('-').skip(1);
                Some((parts.next()?, parts.next()?))
            }
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            TraceHeader::W3c => "traceparent",
            TraceHeader::B3 => "x-b3-traceid",
        }
    }
}

impl Spec for Trace {
    const NAME: &'static str = "trace";
    const DOC: &'static str = "Trace context of every attempt that reached a server.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`trace: {header, id, client-span}`",
        "every attempt arrived with a trace context in `w3c` or `b3` form, with this trace id, and with another span id than `client-span`",
    )];
    type Written = Self;

    fn read(written: &Self) -> Result<Self, ExpectError> {
        Ok(written.clone())
    }

    fn expected(&self) -> String {
        let whose = match self.id {
            Some(_) => "the client's trace",
            None => "a trace",
        };
        let span = match self.client_span {
            Some(_) => ", another span",
            None => "",
        };
        format!("{whose}{span} ({})", self.header.as_str())
    }
}

impl Exact for Trace {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every_attempt(
            calls,
            |attempt| self.seen(attempt),
            |attempt| self.is_met(attempt),
        )
    }
}

impl Trace {
    fn is_met(&self, attempt: &Attempt) -> bool {
        self.header.context(attempt).is_some_and(|(id, span)| {
            self.id.as_deref().is_none_or(|expected| expected == id)
                && self.client_span.as_deref() != Some(span)
        })
    }

    fn seen(&self, attempt: &Attempt) -> String {
        let Some((id, span)) = self.header.context(attempt) else {
            return "no trace context".to_owned();
        };
        let id = match self.id.as_deref() {
            Some(expected) if expected == id => "the client's trace",
            Some(_) => "another trace",
            None => "a trace",
        };
        let span = match self.client_span.as_deref() == Some(span) {
            true => "the client's own span",
            false => "another span",
        };
        format!("{id}, {span}")
    }
}
