//! The engine: plans become events.

mod background;
#[cfg(feature = "browser")]
pub mod browse;
pub mod busy;
mod caption;
pub mod certificates;
pub mod change;
pub mod context;
pub mod control;
pub mod engine;
pub mod event;
mod event_text;
pub mod flags;
pub mod guard;
mod hops;
pub mod id;
pub mod istiod;
pub mod lost;
pub mod maker;
pub mod mutated;
pub mod phases;
pub mod place;
pub mod probe;
pub mod reach;
pub mod recorder;
pub mod refused;
pub mod rollout;
pub mod scenario;
pub mod session;
mod settled;
pub mod signals;
pub mod steps;
pub mod stop;
pub mod telemetry;
pub mod tidy;
pub mod versus;
pub mod why;
