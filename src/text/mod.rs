//! Rules of texts that every part shares.

mod glob;
mod spelling;
mod userinfo;

pub use glob::glob;
pub use spelling::{did_you_mean, listed, nearest, sentence};
pub use userinfo::{MASK, userinfo};
