//! Shared text helpers: globs, spelling suggestions, masking of credentials.

mod glob;
#[cfg(test)]
mod page;
mod renamed;
mod spelling;
mod userinfo;

pub use glob::glob;
#[cfg(test)]
pub use page::assert_in_page;
pub use spelling::{did_you_mean, listed, nearest, sentence};
pub use userinfo::{MASK, userinfo};
