//! `peer-identity`: the caller's identity, as the server's proxy forwards it.

use statistics::Rates;
use testbed::control::Attempt;

use super::spec::{Exact, ExpectError, Form, Spec};
use crate::verdict::{
    calls::Calls,
    fields,
    judgement::{Judgement, every_attempt},
};

/// The metadata in which a proxy forwards the peer's certificate to the application (Envoy
/// documentation, "x-forwarded-client-cert").
const FORWARDED: &str = "x-forwarded-client-cert";

/// The URI of the caller's certificate; `none` without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity(pub String);

impl Spec for PeerIdentity {
    const NAME: &'static str = "peer-identity";
    const DOC: &'static str = "SPIFFE identity of the caller that the server's proxy forwards (`x-forwarded-client-cert`); `none`: it forwards no identity.";
    const FORMS: &'static [Form] = &[Form::exact(
        "`peer-identity: spiffe://…`",
        "the server's proxy forwards this identity of the caller (URI of the last `x-forwarded-client-cert` element); `none`: it forwards no identity",
    )];
    const LOOKS_AT: &'static str = "from the servers' ledger";
    const EVERY_CALL: bool = true;
    type Written = String;

    fn read(written: &String) -> Result<Self, ExpectError> {
        Ok(Self(written.clone()))
    }

    fn expected(&self) -> String {
        self.0.clone()
    }

    fn expand(&mut self, expand: &dyn Fn(&str) -> String) {
        self.0 = expand(&self.0);
    }
}

impl Exact for PeerIdentity {
    fn judge(&self, calls: &Calls<'_>, _: Rates) -> Judgement {
        every_attempt(calls, identity, |attempt| identity(attempt) == self.0)
    }
}

/// The identity that the server's proxy forwards: the URI of the last element of [`FORWARDED`];
/// `none` without one.
fn identity(attempt: &Attempt) -> String {
    let value = fields::joined(&attempt.metadata, FORWARDED).unwrap_or_default();
    let last = value.rsplit(',').next().unwrap_or_default();
    let uri = last
        .split(';')
        .find_map(|part| part.trim().strip_prefix("URI="));
    uri.unwrap_or("none").trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "By=spiffe://c/ns/n/sa/g;Hash=ab;Subject=\"\";URI=spiffe://c/ns/n/sa/caller",
        "spiffe://c/ns/n/sa/caller"
    )]
    #[case(
        "By=x;URI=spiffe://forged,By=y;Hash=1;URI=spiffe://real",
        "spiffe://real"
    )]
    #[case("", "none")]
    fn the_last_proxy_is_believed(#[case] header: &str, #[case] expected: &str) {
        let mut attempt = crate::verdict::testing::attempt(0, "greeter-a");
        attempt.metadata = vec![(FORWARDED.to_owned(), header.to_owned())];
        assert_eq!(identity(&attempt), expected);
        // Elements in separate fields mean the same (RFC 9110 section 5.3).
        let parts = header.split(',');
        let field = |part: &str| (FORWARDED.to_owned(), part.to_owned());
        attempt.metadata = parts.map(field).collect();
        assert_eq!(identity(&attempt), expected);
    }
}
