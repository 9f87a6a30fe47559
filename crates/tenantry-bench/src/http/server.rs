use std::{env, net::SocketAddr, process::Stdio};

use clap::ValueEnum;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    args::{Framework, Variant},
    failure::Failure,
};

/// A server in a separate process, which ends when this value is dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts this program as a server, and waits until it listens.
    pub(super) async fn start(
        framework: Framework,
        variant: Variant,
        name: &str,
        url: &str,
    ) -> Result<Self, Failure> {
        let variant = variant.to_possible_value().ok_or("every variant has a name")?;
        let mut process = Command::new(env::current_exe()?)
            .args(["serve", framework.name(), variant.get_name(), name, url])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let line = lines.next_line().await?.ok_or("the server has ended at once")?;
        Ok(Self { process, address: line.parse()? })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        Ok(self.process.kill().await?)
    }
}
