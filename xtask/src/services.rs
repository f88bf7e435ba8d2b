//! Services that the tests talk to: one row each, started by `cargo xtask test` on loopback and
//! stopped when it ends. A service says in one line what it cannot get; its tests then fail with it.

use std::process::{Child, ExitCode};

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// One service.
pub(crate) struct Service {
    /// Short name.
    pub(crate) name: &'static str,
    /// What the tests use it for.
    pub(crate) about: &'static str,
    /// The variable that gives the tests its address.
    pub(crate) variable: &'static str,
    /// Installs (below the target directory) and starts it; gives its address once it answers.
    pub(crate) start: fn(&Workspace) -> Result<(Child, String)>,
}

/// Every service. Tests on local folders need none.
pub(crate) const SERVICES: &[Service] = &[];

/// Running services; they end with this value.
#[derive(Default)]
pub(crate) struct Running {
    children: Vec<Child>,
    /// Variables for the tests.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Running {
    /// Starts every service; what cannot be had is said in one line each.
    pub(crate) fn start(workspace: &Workspace) -> Self {
        let mut running = Self::default();
        for service in SERVICES {
            match (service.start)(workspace) {
                Ok((child, address)) => {
                    running.children.push(child);
                    running.variables.push((service.variable, address));
                }
                Err(error) => eprintln!("cannot get {} ({}): {error:#}", service.name, service.about),
            }
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself; there is nobody left to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `services`: lists them.
pub(crate) fn run(_: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    if let Some(argument) = arguments.first() {
        bail!("unexpected `{argument}`");
    }
    if SERVICES.is_empty() {
        println!("the tests need no services");
    }
    for service in SERVICES {
        println!("{:<12} {:<24} {}", service.name, service.variable, service.about);
    }
    Ok(ExitCode::SUCCESS)
}
