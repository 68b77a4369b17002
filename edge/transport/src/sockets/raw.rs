//! The three things that the standard library and socket2 do not offer. The only unsafe code of
//! the crate.
#![expect(
    unsafe_code,
    reason = "a socket option, a socket's queue and inherited descriptors, nothing else"
)]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use socket2::Socket;

/// Sets the program that picks a socket of the group `socket` belongs to
/// (`SO_ATTACH_REUSEPORT_CBPF`, Linux 4.5).
pub(super) fn attach_reuseport_program(
    socket: &Socket,
    program: &[libc::sock_filter],
) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        // The kernel only reads it; the type says otherwise.
        filter: program.as_ptr().cast_mut(),
    };
    let size = libc::socklen_t::try_from(size_of_val(&program))
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open as long as `socket` is borrowed; `program` and the slice
    // it points to live through the call, `size` is its size, and the kernel copies both before
    // it returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Bytes that were written to a TCP socket and that its peer has not acknowledged (`SIOCOUTQ`,
/// which has the number of `TIOCOUTQ`; tcp(7)).
pub(super) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed; this request writes one int, to
    // where `bytes` lives through the call.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, std::ptr::from_mut(&mut bytes)) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    u64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Takes over a descriptor that this process was started with, if it is open.
///
/// Each number may be taken once; the caller sees to that.
pub(super) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with F_SETFD touches no memory; on a number that is not open it fails.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, as the call above showed, and nothing in this process owns
    // it: the numbers that LISTEN_FDS names are passed to us by the service manager, and the
    // caller takes each once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
