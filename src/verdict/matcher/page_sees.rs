//! `page-sees`: what a script in a page of another origin would see of a call, by the rules of the
//! Fetch standard (sections "CORS protocol" and "CORS-preflight fetch"), for requests without
//! credentials:
//!
//! - a response is readable if `access-control-allow-origin` is `*` or the page's origin, byte for
//!   byte;
//! - a script sees the headers that `access-control-expose-headers` names, and a short safelist
//!   that does not include `grpc-status`;
//! - the response to a preflight must have status 2xx, name the method unless it is GET, HEAD or
//!   POST (always safe), and name every requested header. `*` stands for all headers but
//!   `authorization`.

use std::fmt;

use statistics::Rates;
use testbed::{
    control::{Observation, Origin, WebSeen},
    derive,
};

use super::{
    max_failed,
    spec::{Around, Exact, ExpectError, Form, Mistake, Spec},
};
use crate::{
    values::status,
    verdict::{
        calls::Calls,
        fields,
        judgement::{Judgement, every},
        tally::short,
    },
};

/// Methods that need no permission (Fetch standard, "CORS-safelisted method").
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "POST"];

/// What the script sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSees {
    /// The browser would send the request for which this preflight asks.
    Allowed,
    /// The browser withholds the response (or does not send the request): the script learns
    /// nothing.
    Blocked,
    /// The gRPC status, as far as a script can read it.
    Status(u32),
}

impl PageSees {
    /// Parses `allowed`, `blocked`, or a gRPC status by name or number.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "allowed" => Some(Self::Allowed),
            "blocked" => Some(Self::Blocked),
            other => status::code(other).map(Self::Status),
        }
    }

    /// What the page would see of a call; `None` for gRPC over HTTP/2, which a page cannot send.
    pub fn of(call: &Observation) -> Option<Self> {
        let web = call.web.as_ref()?;
        if let Some(browser) = &web.browser {
            let reported = Self::Status(call.status.code);
            return Some(if browser.refused.is_some() {
                Self::Blocked
            } else {
                reported
            });
        }
        call.http_status?;
        if !readable(call, web) {
            return Some(Self::Blocked);
        }
        if is_preflight(web) {
            let leave = is_granted(call, web);
            return Some(if leave { Self::Allowed } else { Self::Blocked });
        }
        Some(Self::Status(visible_status(call, web)))
    }
}

impl Spec for PageSees {
    const NAME: &'static str = "page-sees";
    const DOC: &'static str = "What a script in a page sees of a `web`, `http` or `browser` call: a gRPC status, `blocked`, or `allowed` for a preflight.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`page-sees: OK`",
        "a script in a page sees this: a gRPC status, `blocked`, or `allowed` for a preflight. For a `web` or `http` call it follows from the Fetch standard's CORS rules; for a `browser` call it is what the script did see",
    )];
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        Self::parse(written).ok_or_else(|| ExpectError::Text {
            field: Self::NAME,
            message: format!("invalid value '{written}': write a gRPC status, blocked or allowed"),
        })
    }

    fn expected(&self) -> String {
        format!("a page sees {self}")
    }

    fn mistakes(&self, around: &Around<'_>) -> Vec<Mistake> {
        if around.page {
            return Vec::new();
        }
        vec![Mistake::new(
            "'page-sees' on a call that a page cannot make",
            "add `web: {}`, `http:` or `browser:`: a page cannot send gRPC over HTTP/2",
        )]
    }
}

impl Exact for PageSees {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every(&calls.kept(), seen, |call| Self::of(call) == Some(*self))
    }
}

fn seen(call: &Observation) -> String {
    PageSees::of(call).map_or_else(
        || format!("nothing (\"{}\")", short(&max_failed::reason(call), 60)),
        |page| page.to_string(),
    )
}

impl fmt::Display for PageSees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("allowed"),
            Self::Blocked => f.write_str("blocked"),
            Self::Status(code) => f.write_str(&status::name(*code)),
        }
    }
}

/// A header as a script sees it: repeated fields are joined into one value.
fn header(call: &Observation, name: &str) -> Option<String> {
    fields::joined(&call.headers, name)
}

fn is_preflight(web: &WebSeen) -> bool {
    web.method == "OPTIONS" && fields::joined(&web.asked, "access-control-request-method").is_some()
}

/// Whether a script may read the response. Without `origin`, the page has the same origin.
fn readable(call: &Observation, web: &WebSeen) -> bool {
    let Some(origin) = fields::joined(&web.asked, "origin") else {
        return true;
    };
    let allowed = header(call, "access-control-allow-origin");
    allowed.is_some_and(|allowed| allowed == "*" || allowed == origin)
}

fn is_granted(call: &Observation, web: &WebSeen) -> bool {
    let success = call
        .http_status
        .is_some_and(|code| (200..300).contains(&code));
    let methods = header(call, "access-control-allow-methods");
    let methods = list(methods.as_deref());
    let asked = fields::joined(&web.asked, "access-control-request-method");
    let asked = list(asked.as_deref());
    let method = asked.iter().all(|asked| {
        let safe = SAFE_METHODS.contains(asked);
        safe || methods
            .iter()
            .any(|method| method == asked || *method == "*")
    });
    let headers = header(call, "access-control-allow-headers");
    let headers = list(headers.as_deref());
    let asked = fields::joined(&web.asked, "access-control-request-headers");
    let asked = list(asked.as_deref());
    let header = asked.iter().all(|asked| names(&headers, asked));
    success && method && header
}

/// Whether a list has a header name, ignoring case. `*` matches every name but `authorization`.
fn names(list: &[&str], name: &str) -> bool {
    let wild = !name.eq_ignore_ascii_case("authorization");
    list.iter()
        .any(|listed| listed.eq_ignore_ascii_case(name) || (*listed == "*" && wild))
}

fn list(text: Option<&str>) -> Vec<&str> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

/// The status in the body, else the one in the headers if the script may read it, else the one that
/// the HTTP status maps to.
fn visible_status(call: &Observation, web: &WebSeen) -> u32 {
    let own = call.status.origin == Origin::Wire;
    let exposed = header(call, "access-control-expose-headers");
    let exposed = list(exposed.as_deref());
    let same_origin = fields::joined(&web.asked, "origin").is_none();
    let visible = web.trailers_frame || same_origin || names(&exposed, "grpc-status");
    if own && visible {
        call.status.code
    } else {
        derive::from_http(call.http_status.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testbed::control::BrowserSeen;

    use crate::verdict::testing::{answered, failed};

    const ORIGIN: (&str, &str) = ("origin", "https://app.example");

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        list.iter().map(owned).collect()
    }

    fn web(method: &str, asked: &[(&str, &str)], trailers_frame: bool) -> Option<WebSeen> {
        Some(WebSeen {
            method: method.to_owned(),
            asked: pairs(asked),
            trailers_frame,
            ..WebSeen::default()
        })
    }

    #[rstest::rstest]
    #[case::this_origin(&[("access-control-allow-origin", "https://app.example")], "NOT_FOUND")]
    #[case::any_origin(&[("access-control-allow-origin", "*")], "NOT_FOUND")]
    #[case::another(&[("access-control-allow-origin", "https://app.example.org")], "blocked")]
    #[case::case_counts(&[("access-control-allow-origin", "https://App.example")], "blocked")]
    #[case::none(&[], "blocked")]
    #[case::twice(&[("access-control-allow-origin", "https://app.example"), ("access-control-allow-origin", "*")], "blocked")]
    fn an_answer_is_readable_by_its_origin(#[case] headers: &[(&str, &str)], #[case] page: &str) {
        let mut call = failed(0, 5, "no such", Origin::Wire);
        call.headers = pairs(headers);
        call.web = web("POST", &[ORIGIN], true);
        assert_eq!(PageSees::of(&call), PageSees::parse(page));
    }

    #[rstest::rstest]
    #[case::exposed("grpc-status, grpc-message", 200, "NOT_FOUND")]
    #[case::hidden("grpc-message", 200, "UNKNOWN")]
    #[case::hidden_with_http("", 503, "UNAVAILABLE")]
    #[case::all("*", 200, "NOT_FOUND")]
    fn a_status_among_the_headers_must_be_exposed(
        #[case] exposed: &str,
        #[case] http: u16,
        #[case] page: &str,
    ) {
        let mut call = failed(0, 5, "no such", Origin::Wire);
        call.http_status = Some(http);
        call.headers = pairs(&[
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", exposed),
        ]);
        call.web = web("POST", &[ORIGIN], false);
        assert_eq!(PageSees::of(&call), PageSees::parse(page));
    }

    #[rstest::rstest]
    #[case::granted("POST", "x-a,X-B", "POST", "x-b, x-a", 200, "allowed")]
    #[case::post_needs_no_leave("POST", "x-a", "GET", "x-a", 204, "allowed")]
    #[case::put_does("PUT", "x-a", "POST", "x-a", 200, "blocked")]
    #[case::header_missing("POST", "x-a,x-c", "POST", "x-a", 200, "blocked")]
    #[case::wildcard("PUT", "x-a", "*", "*", 200, "allowed")]
    #[case::wildcard_is_no_authorization("POST", "authorization", "*", "*", 200, "blocked")]
    #[case::not_answered("POST", "x-a", "POST", "x-a", 404, "blocked")]
    fn a_preflight_grants_what_it_names(
        #[case] method: &str,
        #[case] headers: &str,
        #[case] methods: &str,
        #[case] allowed: &str,
        #[case] http: u16,
        #[case] page: &str,
    ) {
        let mut call = answered(0, "a", "greeter");
        call.http_status = Some(http);
        call.headers = pairs(&[
            ("access-control-allow-origin", "https://app.example"),
            ("access-control-allow-methods", methods),
            ("access-control-allow-headers", allowed),
        ]);
        let asked = [
            ORIGIN,
            ("access-control-request-method", method),
            ("access-control-request-headers", headers),
        ];
        call.web = web("OPTIONS", &asked, false);
        assert_eq!(PageSees::of(&call), PageSees::parse(page));
    }

    #[rstest::rstest]
    #[case::reported(None, "NOT_FOUND")]
    #[case::refused(Some("PreflightMissingAllowOriginHeader"), "blocked")]
    fn a_real_browser_is_believed(#[case] refused: Option<&str>, #[case] page: &str) {
        let mut call = failed(0, 5, "no such", Origin::Wire);
        let refused = refused.map(str::to_owned);
        call.web = Some(WebSeen {
            browser: Some(BrowserSeen { refused }),
            ..WebSeen::default()
        });
        assert_eq!(PageSees::of(&call), PageSees::parse(page));
    }

    #[test]
    fn what_no_page_can_send_it_cannot_see() {
        assert_eq!(PageSees::of(&answered(0, "a", "greeter")), None);
    }
}
