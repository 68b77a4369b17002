//! A door before an origin: it forwards TCP while it is open, and where it is shut nobody
//! listens, as when a machine is gone.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{error::CampaignError, process::free_address};

/// Waiting to be let in.
const BACKLOG: u32 = 1024;

/// The door. Closes when dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    behind: SocketAddr,
    open: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Gate {
    /// A door before `behind`, open.
    pub fn before(behind: SocketAddr) -> Result<Self, CampaignError> {
        let gate = Self { address: free_address()?, behind, open: Arc::default() };
        gate.open()?;
        Ok(gate)
    }

    /// As an upstream's `url` in a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets in.
    pub fn open(&self) -> Result<(), CampaignError> {
        let socket = TcpSocket::new_v4()?;
        // What was cut still waits in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        let listener = socket.listen(BACKLOG)?;
        *self.open.lock() = Some(tokio::spawn(forward(listener, self.behind)));
        Ok(())
    }

    /// Cuts every connection; new ones are refused.
    pub fn shut(&self) {
        if let Some(task) = self.open.lock().take() {
            task.abort();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

async fn forward(listener: TcpListener, behind: SocketAddr) {
    let mut all = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = all.join_next(), if !all.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((mut client, _)) = accepted else { continue };
                all.spawn(async move {
                    if let Ok(mut origin) = TcpStream::connect(behind).await {
                        // How it ends is seen by both.
                        drop(copy_bidirectional(&mut client, &mut origin).await);
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shut_gate_refuses_and_an_open_one_lets_in() {
        let behind = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let gate = Gate::before(behind.local_addr().expect("bound")).expect("opens");
        let through = TcpStream::connect(gate.address).await;
        assert!(through.is_ok());
        behind.accept().await.expect("it was forwarded");
        gate.shut();
        while TcpStream::connect(gate.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        gate.open().expect("again");
        assert!(TcpStream::connect(gate.address).await.is_ok());
    }
}
