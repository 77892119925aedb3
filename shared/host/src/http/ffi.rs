//! A socket option that no safe library offers without more.

use std::{
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd},
};

/// Makes the kernel drop every segment that still comes to a listening socket, those of handshakes among them. Whose
/// connection it has completed stays in its queue; whoever comes later tries again until the socket is closed.
pub(super) fn shut_the_door(listener: &impl AsFd) -> io::Result<()> {
    // One instruction of classic BPF: return 0, that is, keep nothing of the segment.
    let mut program = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the option takes a `sock_fprog`, which points to as many instructions as it says; the kernel copies both.
    let result = unsafe {
        libc::setsockopt(
            listener.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
