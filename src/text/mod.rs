//! Rules of texts that every part shares.

mod userinfo;

pub use userinfo::{MASK, userinfo};
