//! The engine: runs plans and emits events.

mod caption;
pub mod context;
pub mod engine;
pub mod error;
pub mod guard;
mod kept;
pub mod namespace;
pub mod probe;
pub mod scenario;
pub mod session;
pub mod signals;
pub mod state;
pub mod step;
pub mod stop;
pub mod target_lost;
pub mod warm_pool;

#[cfg(test)]
mod engine_call_tests;
#[cfg(test)]
pub(crate) mod in_memory;
#[cfg(test)]
pub(crate) mod testing;
