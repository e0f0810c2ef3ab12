//! Sockets of another process, borrowed.
//!
//! What a `send()` costs depends on where the kernel has put the socket, on what was said on it before and on
//! who reads at its other end. Over the very sockets of a server nothing of that differs.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Duplicates of the sockets of the process `pid` whose other ends have these `ports`, in their order. A system may
/// forbid this to all but the process's ancestors.
pub fn sockets(pid: u32, ports: &[u16]) -> io::Result<Vec<TcpStream>> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let process = Pid::from_raw(pid.try_into().map_err(|_| missing())?).ok_or_else(missing)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let places: HashMap<u16, usize> = ports.iter().copied().zip(0..).collect();
    let mut found: Vec<Option<TcpStream>> = ports.iter().map(|_| None).collect();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = entry?.path();
        let is_socket = std::fs::read_link(&path).is_ok_and(|target| {
            target
                .as_os_str()
                .as_encoded_bytes()
                .starts_with(b"socket:")
        });
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        let (true, Some(number)) = (is_socket, number) else {
            continue;
        };
        let socket = TcpStream::from(pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?);
        // A listener has no other end, and a socket that is none of TCP none of this kind.
        if let Ok(peer) = socket.peer_addr()
            && let Some(&place) = places.get(&peer.port())
        {
            found[place] = Some(socket);
        }
    }
    found.into_iter().map(|it| it.ok_or_else(missing)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn borrowed_sockets_reach_the_same_readers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut readers: Vec<TcpStream> = Vec::new();
        let mut own = Vec::new();
        for _ in 0..3 {
            readers.push(TcpStream::connect(address).unwrap());
            own.push(listener.accept().unwrap());
        }
        let port = |reader: &TcpStream| reader.local_addr().unwrap().port();
        let ports = [port(&readers[2]), port(&readers[0])];
        let mut borrowed = sockets(std::process::id(), &ports).unwrap();
        borrowed[0].write_all(b"c").unwrap();
        borrowed[1].write_all(b"a").unwrap();
        drop((borrowed, own));
        let heard = readers.iter_mut().map(|reader| {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text).unwrap()
        });
        assert_eq!(heard.collect::<Vec<_>>(), ["a", "", "c"]);
    }

    #[test]
    fn a_socket_that_is_not_there_is_missed() {
        let failure = sockets(std::process::id(), &[1]).unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::NotFound);
    }
}
