//! `report.html`: one file without script, links to the evidence beside it.

mod page;

pub use page::render;
