//! The engine: plans become events.

pub mod event;
