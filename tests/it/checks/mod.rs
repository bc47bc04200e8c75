//! The whole program on this machine, in a real mesh: what it leaves behind, whether a local target
//! is a cluster to others, what a user is told when a kind cluster does not come up. Ignored,
//! because each takes minutes, root and programs that not every machine has; `scripts/test` runs
//! them. By hand, for example:
//!
//! ```sh
//! cargo test --test it -- --ignored --nocapture checks::cluster
//! CHECK_TRIES=20 cargo test --test it -- --ignored --nocapture checks::leaks::objects
//! ```
//!
//! Every check prints a line that begins with `ok` or `FAILED`; the test fails at its end if one
//! did. Variables:
//!
//! | variable | what | default |
//! |---|---|---|
//! | `MESHPROOF` | the program | the one that cargo built |
//! | `CHECK_TARGET` | a local target that is up and stays up | one that comes and goes |
//! | `CHECK_TRIES` | how often a process is killed in each way | 2 |
//! | `CHECK_SECONDS` | until when, in seconds from its start; more on a busy machine, so that kills meet running scenarios | as each test says |
//! | `CHECK_SCENARIOS` | what is run | as each test says |

mod cluster;
mod kind;
mod leaks;
mod machine;
mod objects;
mod program;
mod tally;
mod target;
