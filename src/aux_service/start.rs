//! Starts auxiliary services, and handles running ones.

#[cfg(feature = "containers")]
use super::container::Container;
use super::{
    AuxServiceError, AuxServiceSpec, ContainerImage, Endpoint, HostProgram, process::Process, ready,
};
use crate::errors::chain;

/// A ready auxiliary service. Dropping it stops it.
pub struct AuxService {
    name: String,
    runs: Runs,
}

/// How it runs.
enum Runs {
    Process(Box<Process>),
    #[cfg(feature = "containers")]
    Container(Box<Container>),
}

impl AuxService {
    /// Starts it from its image if a Docker engine has it, else as a program.
    ///
    /// # Errors
    /// [`AuxServiceError::NoWay`], with the reason of each failure.
    pub async fn start(system: &AuxServiceSpec) -> Result<Self, AuxServiceError> {
        let mut reasons = Vec::new();
        if let Some(image) = &system.image {
            match Self::from_image(system, image).await {
                Ok(side) => return Ok(side),
                Err(error) => reasons.push(chain(&error)),
            }
        }
        if let Some(program) = &system.program {
            match Self::from_program(system, program).await {
                Ok(side) => return Ok(side),
                Err(error) => reasons.push(chain(&error)),
            }
        }
        if reasons.is_empty() {
            reasons.push("it has neither an image nor a program".to_owned());
        }
        Err(AuxServiceError::NoWay {
            name: system.name.clone(),
            reasons,
        })
    }

    /// Starts it as a container only.
    ///
    /// # Errors
    /// [`AuxServiceError`]. Nothing is left running.
    #[cfg(feature = "containers")]
    pub async fn from_image(
        system: &AuxServiceSpec,
        image: &ContainerImage,
    ) -> Result<Self, AuxServiceError> {
        let container = Container::start(system, image).await?;
        Self::when_ready(system, Runs::Container(Box::new(container))).await
    }

    /// Not supported in this build.
    ///
    /// # Errors
    /// [`AuxServiceError::NotBuiltIn`].
    #[cfg(not(feature = "containers"))]
    pub async fn from_image(
        system: &AuxServiceSpec,
        _: &ContainerImage,
    ) -> Result<Self, AuxServiceError> {
        Err(AuxServiceError::NotBuiltIn {
            name: system.name.clone(),
        })
    }

    /// Starts it as a process only.
    ///
    /// # Errors
    /// [`AuxServiceError`]. Nothing is left running.
    pub async fn from_program(
        system: &AuxServiceSpec,
        program: &HostProgram,
    ) -> Result<Self, AuxServiceError> {
        let process = Process::start(system, program)?;
        Self::when_ready(system, Runs::Process(Box::new(process))).await
    }

    async fn when_ready(system: &AuxServiceSpec, runs: Runs) -> Result<Self, AuxServiceError> {
        let mut side = Self {
            name: system.name.clone(),
            runs,
        };
        match ready::wait(&mut side, &system.ready, system.deadline).await {
            Ok(()) => Ok(side),
            Err(error) => {
                side.stop().await;
                Err(error)
            }
        }
    }

    /// The name in its [`AuxServiceSpec`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The endpoint at which its port can be reached from here; `None` if it has no such port.
    pub fn endpoint(&self, port: u16) -> Option<Endpoint> {
        match &self.runs {
            Runs::Process(process) => process.endpoint(port),
            #[cfg(feature = "containers")]
            Runs::Container(container) => container.endpoint(port),
        }
    }

    /// Its output so far: for a process, the last 2000 lines in order; for a container, stdout
    /// before stderr.
    pub async fn log(&self) -> String {
        match &self.runs {
            Runs::Process(process) => process.log(),
            #[cfg(feature = "containers")]
            Runs::Container(container) => container.log().await,
        }
    }

    /// Its exit status, if it exited by itself.
    pub async fn ended(&mut self) -> Option<String> {
        match &mut self.runs {
            Runs::Process(process) => process.ended().await,
            #[cfg(feature = "containers")]
            Runs::Container(container) => container.ended().await,
        }
    }

    /// Whether it is a container.
    pub fn is_container(&self) -> bool {
        !matches!(self.runs, Runs::Process(_))
    }

    /// Stops it and waits until it is gone.
    pub async fn stop(self) {
        match self.runs {
            Runs::Process(process) => process.stop().await,
            #[cfg(feature = "containers")]
            Runs::Container(container) => container.stop().await,
        }
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
