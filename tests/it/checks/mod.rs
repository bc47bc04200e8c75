//! Checks of the whole program on this machine, in a real mesh: what it leaves behind, whether a
//! local target is a cluster for other programs, and what a user is told when a kind cluster does
//! not come up. They are ignored because each takes minutes, root, and programs that not every
//! machine has; `scripts/test` runs them. To run some by hand:
//!
//! ```sh
//! cargo test --test it -- --ignored --nocapture checks::cluster
//! CHECK_TRIES=20 cargo test --test it -- --ignored --nocapture checks::leaks::objects
//! ```
//!
//! Every check prints a line that begins with `ok` or `FAILED`. If any failed, the test fails at
//! its end. Variables:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `MESHPROOF` | the program | the one built by cargo |
//! | `CHECK_TARGET` | a local target that is up and stays up | a new target, removed afterwards |
//! | `CHECK_TRIES` | how often a process is killed in each way | 2 |
//! | `CHECK_SECONDS` | the latest moment of a kill, in seconds from its start; increase it on a busy machine, so that kills hit running scenarios | depends on the test |
//! | `CHECK_SCENARIOS` | the scenarios to run | depends on the test |

mod cluster;
mod kind;
mod leaks;
mod machine;
mod objects;
mod poison;
mod program;
mod tally;
mod target;
