//! Which fields sent by istiod are claimed by scenarios: `meshproof mutate --coverage DIR`.

mod claims;
mod fields;
mod table;

pub use claims::{CLAIMS, Claims};
pub use fields::{Hand, Written, written};
pub use table::markdown;
