//! `report.html`: one file without scripts, with links to the evidence next to it.

mod page;

pub use page::render;
