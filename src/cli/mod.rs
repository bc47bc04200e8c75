//! Command line: only clap structures. Doc comments are the help texts; nothing here does I/O.

mod args;
mod doctor;
mod given;
mod image;
mod list;
mod mesh;
mod mutate;
mod report;
mod run;
mod target;
mod toolchain;

pub use args::{Cli, Command, CompletionsArgs, ExplainArgs, GlobalArgs, LintArgs};
pub use doctor::DoctorArgs;
pub use given::given;
pub use image::{
    ImageArgs, ImageCommand, ImageInputs, ImageIstio, ImageKubernetes, ImageList, ImagePack,
};
pub use list::{ListArgs, ListBy};
pub use mesh::MeshArgs;
pub use mutate::MutateArgs;
pub use report::ReportArgs;
pub use run::RunArgs;
pub use target::{
    TargetArgs, TargetCommand, TargetDown, TargetGc, TargetName, TargetShell, TargetStatus,
    TargetUp, TargetWhich,
};
pub use toolchain::{ToolchainArgs, ToolchainCommand, ToolchainPrepare, ToolchainStatus};
