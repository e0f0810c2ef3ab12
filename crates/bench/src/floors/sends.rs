//! A loop of `send()` over many sockets: what a fan-out costs the kernel, and nothing else.
//!
//! Where the *orders* come from, one connection at a time says what the sockets are. All numbers are big-endian, of 32
//! bits.
//!
//! - A number of *own* sockets. They are accepted where *sockets* are, and begin like a client's: a handshake of
//!   WebSocket and one message each way, because the kernel acknowledges what comes to a socket that has talked later
//!   than what comes to one that never has, and sending is cheaper to the latter.
//! - Or 0, and then a process, how many of its sockets are to be *borrowed* ([`super::borrow`]), the ports of their
//!   other ends, how long a message is, and the message.
//!
//! That is answered with one byte once they are there: 1, or 0 where the system does not lend them. Then nothing is
//! said but what is ordered, as often as it likes: how many bytes, which repeat the message, go to how many sockets.
//! Sockets take turns: an order goes on where the last one stopped.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use super::{borrow, handshake};
use socket2::{Domain, Socket, Type};

/// How many bytes the first message of a socket has, and what answers it: about what a client says.
pub const GREETING: usize = 600;

/// An order: so many bytes to so many sockets.
pub fn order(bytes: u32, sockets: u32) -> [u8; 8] {
    let mut order = [0; 8];
    order[..4].copy_from_slice(&bytes.to_be_bytes());
    order[4..].copy_from_slice(&sockets.to_be_bytes());
    order
}

/// Follows orders on the loopback interface until killed, and says where it listens.
pub fn serve() -> io::Result<()> {
    // The queue of `TcpListener::bind` holds 128 connections, and ten thousand come at once.
    let sockets = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    sockets.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    sockets.listen(4096)?;
    let sockets = TcpListener::from(sockets);
    let orders = TcpListener::bind("127.0.0.1:0")?;
    let ready = serde_json::json!({
        "event": "ready",
        "sockets": sockets.local_addr()?.to_string(),
        "orders": orders.local_addr()?.to_string(),
    });
    println!("{ready}");
    loop {
        let (from, _) = orders.accept()?;
        if let Err(error) = follow(from, &sockets) {
            // One end of a measurement looks like this: the sockets are gone before the orders end.
            eprintln!("{error}");
        }
    }
}

fn follow(mut from: TcpStream, listener: &TcpListener) -> io::Result<()> {
    from.set_nodelay(true)?;
    let (mut sockets, unit) = match number(&mut from)? {
        0 => {
            let (pid, count) = (number(&mut from)?, number(&mut from)?);
            let ports = (0..count).map(|_| Ok(number(&mut from)? as u16));
            let ports: Vec<u16> = ports.collect::<io::Result<_>>()?;
            let mut unit = vec![0; number(&mut from)?];
            from.read_exact(&mut unit)?;
            match borrow::sockets(pid as u32, &ports) {
                Ok(sockets) => (sockets, unit),
                Err(error) => {
                    from.write_all(&[0])?;
                    return Err(error);
                }
            }
        }
        count => (accept(listener, count)?, vec![b'x']),
    };
    from.write_all(&[1])?;
    let mut message = Vec::new();
    let mut next = 0;
    while let (Ok(bytes), Ok(count)) = (number(&mut from), number(&mut from)) {
        message.clear();
        message.extend(unit.iter().cycle().take(bytes));
        for _ in 0..count {
            send_all(&mut sockets[next], &message)?;
            next = (next + 1) % sockets.len();
        }
    }
    Ok(())
}

/// A borrowed socket does not block, because its owner's does not. It is not full either: a reader that has heard
/// everything asks for more.
fn send_all(socket: &mut TcpStream, mut message: &[u8]) -> io::Result<()> {
    while !message.is_empty() {
        match socket.write(message) {
            Ok(sent) => message = &message[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn accept(listener: &TcpListener, count: usize) -> io::Result<Vec<TcpStream>> {
    let sockets = (0..count).map(|_| {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        greet(&mut socket)?;
        Ok(socket)
    });
    sockets.collect()
}

/// What a client and a server say to each other before there is news.
fn greet(socket: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut some = [0; 512];
        let read = socket.read(&mut some)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&some[..read]);
    }
    let answer = handshake::answer(&request).ok_or(io::ErrorKind::InvalidData)?;
    socket.write_all(answer.as_bytes())?;
    socket.read_exact(&mut [0; GREETING])?;
    socket.write_all(&[b'x'; GREETING])
}

fn number(from: &mut TcpStream) -> io::Result<usize> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes) as usize)
}
