//! Shared text helpers: globs, hexadecimal digits, spelling suggestions, masking of credentials.

mod glob;
mod hex;
#[cfg(test)]
mod page;
mod renamed;
mod spelling;
mod userinfo;

pub use glob::glob;
pub use hex::hex;
#[cfg(test)]
pub use page::assert_in_page;
pub use spelling::{did_you_mean, listed, nearest, sentence};
pub use userinfo::{MASK, userinfo};
