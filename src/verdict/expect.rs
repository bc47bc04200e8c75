//! The parsed matchers of a probe, from the [`Expect`] that an author wrote.

use super::matcher::{
    Expect, ExpectError, Matcher, Member,
    max_failed::MaxFailed,
    spread::{Spread, SpreadPolicy},
    status::Status,
};

/// All matchers of one probe or case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResolvedExpect {
    pub matchers: Vec<Matcher>,
}

impl ResolvedExpect {
    /// Parses every field that is set.
    ///
    /// # Errors
    /// All invalid values, not only the first.
    pub fn resolve(expect: &Expect) -> Result<Self, Vec<ExpectError>> {
        match expect.read() {
            (matchers, errors) if errors.is_empty() => Ok(Self { matchers }),
            (_, errors) => Err(errors),
        }
    }

    /// Only the named matchers, for the [`super::monitor::Monitor`] of a contrast. Judging uses the
    /// whole expectation and filters the checks with [`super::as_contrast`], since `status` and
    /// `max-failed` decide which calls count.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        let listed = |m: &&Matcher| names.iter().any(|name| name == m.name());
        Self {
            matchers: self.matchers.iter().filter(listed).cloned().collect(),
        }
    }

    /// A copy in which the placeholders of texts are replaced.
    #[must_use]
    pub fn expanded(&self, expand: impl Fn(&str) -> String) -> Self {
        let mut full = self.clone();
        for matcher in &mut full.matchers {
            matcher.expand(&expand);
        }
        full
    }

    /// The matcher of type `T`, if there is one.
    pub fn get<T: Member>(&self) -> Option<&T> {
        self.matchers.iter().find_map(T::of)
    }

    /// The code of `status`.
    pub fn status(&self) -> Option<u32> {
        self.get::<Status>().map(|status| status.0)
    }

    /// The number of calls that may fail.
    pub fn max_failed(&self) -> u64 {
        self.get::<MaxFailed>().map_or(0, |lost| lost.0)
    }

    pub fn is_statistical(&self) -> bool {
        self.matchers.iter().any(Matcher::is_statistical)
    }

    /// Whether a pod must be kept busy for this expectation.
    pub fn least_request(&self) -> bool {
        self.get::<Spread>()
            .is_some_and(|spread| spread.policy == SpreadPolicy::LeastRequest)
    }
}
