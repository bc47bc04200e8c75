//! `reset`: the RST_STREAM that the client received for each call.

use statistics::Rates;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::verdict::{
    calls::Calls,
    judgement::{Judgement, each},
};

/// The error code; `None`: the client received no RST_STREAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset(pub Option<String>);

impl Spec for Reset {
    const NAME: &'static str = "reset";
    const DOC: &'static str =
        "RST_STREAM that the client received: its error code (`CANCEL`), or `none`.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`reset: CANCEL`",
        "the client received RST_STREAM with this error code for each call; `none`: it received none",
    )];
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        Ok(Self(Some(written.clone()).filter(|code| code != "none")))
    }

    fn expected(&self) -> String {
        match &self.0 {
            None => "no RST_STREAM".to_owned(),
            Some(code) => format!("RST_STREAM {code} from the peer"),
        }
    }
}

impl Exact for Reset {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        let kept = calls.kept();
        each(kept.iter().map(|call| {
            let seen = call.reset.as_ref().filter(|reset| reset.remote);
            let seen = seen.map(|reset| reset.code.as_str());
            let message = seen.map_or_else(
                || "no RST_STREAM".to_owned(),
                |code| format!("RST_STREAM {code}"),
            );
            (seen == self.0.as_deref(), message)
        }))
    }
}

#[cfg(test)]
mod tests {
    use testbed::control;

    use crate::verdict::{
        outcome::CheckResult,
        testing::{result, streamed},
    };

    #[rstest::rstest]
    #[case("none", None, true)]
    #[case("CANCEL", Some("CANCEL"), true)]
    #[case("CANCEL", Some("NO_ERROR"), false)]
    #[case("none", Some("CANCEL"), false)]
    fn a_reset_is_known_by_its_code(
        #[case] want: &str,
        #[case] code: Option<&str>,
        #[case] holds: bool,
    ) {
        let mut seen = streamed(1, 1, 1);
        seen.calls[0].reset = code.map(|code| control::Reset {
            code: code.to_owned(),
            remote: true,
        });
        let result = result(&format!("reset: {want}"), &seen).0;
        assert_eq!(result == CheckResult::Holds, holds);
    }
}
