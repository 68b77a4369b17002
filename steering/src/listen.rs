//! Sockets.

use std::{io, net::SocketAddr, path::Path};

use tokio::net::{TcpListener, UnixListener};
use weir_edge_transport::sockets::{BindError, Passed, bind_tcp};

/// Those that a service manager holds, and the others bound.
pub(crate) fn tcp(
    addresses: &[SocketAddr],
    passed: &mut Passed,
) -> Result<Vec<(SocketAddr, std::net::TcpListener)>, BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let (found, sockets) = match passed.take(*address) {
            Some(bound) => (bound.address, bound.tcp),
            None => bind_tcp(*address, 1)?,
        };
        listeners.extend(sockets.into_iter().map(|socket| (found, socket)));
    }
    Ok(listeners)
}

/// Joins the runtime.
pub(crate) fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The admin socket, for this user and root only. A socket that nobody answers on is what a
/// killed process left.
pub(crate) fn unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let why = "another process answers on it; stop that one, or set another admin.socket";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // The same error comes for a file of any other kind.
            if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                let why = "something that is no socket stands there; set another admin.socket";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
            std::fs::remove_file(path)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
