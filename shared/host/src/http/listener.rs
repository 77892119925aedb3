//! The listening socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::{rt::TokioExecutor, server::conn::auto::Builder};
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::task::TaskTracker;

use super::{connection, router::App, service::Front};

/// Connections that the kernel keeps for us while we are busy; it lowers this to what the system allows.
const BACKLOG: u32 = 4096;

/// How long to wait when the process is out of file descriptors: others close theirs meanwhile.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(50);

/// Has the kernel drop segments with SYN, so that no handshake begins any more. The last segment of one that has begun gets
/// through: its client would otherwise take the connection for open, and find it reset. In classic BPF:
const NO_MORE: [SockFilter; 4] = [
    // The byte with the flags: BPF_LD | BPF_B | BPF_ABS, from the start of the TCP header.
    SockFilter::new(0x30, 0, 0, 13),
    // With SYN go on, without it skip a line: BPF_JMP | BPF_JSET | BPF_K.
    SockFilter::new(0x45, 0, 1, 0x02),
    // Nothing is kept of the segment, or all of it: BPF_RET | BPF_K.
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// How long the handshakes that have begun may take: many times a round trip within a cluster.
const HANDSHAKES: Duration = Duration::from_millis(50);

/// A bound address that connections may already come to.
pub(crate) struct Listener {
    listener: TcpListener,
    /// The address with its real port.
    pub(crate) address: SocketAddr,
}

/// The connections that were accepted.
pub(crate) struct Connections {
    front: Arc<Front>,
    protocols: Arc<Builder<TokioExecutor>>,
    open: TaskTracker,
}

impl Listener {
    /// Binds; `::` takes IPv4 as well where the system allows it.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Accepts for ever.
    pub(crate) async fn accept(&self, connections: &Connections) {
        let mut failing = false;
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    failing = false;
                    connections.serve(stream, remote);
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!("cannot accept connections until others are closed: {error}");
                    }
                    tokio::time::sleep(OUT_OF_RESOURCES).await;
                }
            }
        }
    }

    /// Accepts what the kernel has already promised to clients, then stops listening. It must promise nothing more
    /// meanwhile: a connection that it completes after our last look would be reset.
    pub(crate) async fn close(self, connections: &Connections) {
        // Where the system has no such filter, what is left is a moment in which a connection could come.
        let _ = SockRef::from(&self.listener).attach_filter(&NO_MORE);
        let _ = tokio::time::timeout(HANDSHAKES, self.accept(connections)).await;
        // Asked directly: the runtime's view of the socket may lag behind.
        let Ok(listener) = self.listener.into_std() else { return };
        while let Ok((stream, remote)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            stream.into_iter().for_each(|stream| connections.serve(stream, remote));
        }
    }
}

/// Errors of one connection that died before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

impl Connections {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let protocols = Arc::new(connection::protocols(&app.config.wire));
        Self { front: Arc::new(Front::new(app)), protocols, open: TaskTracker::new() }
    }

    fn serve(&self, stream: TcpStream, remote: SocketAddr) {
        // Answers are written whole: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        self.open.spawn(connection::serve(self.front.clone(), self.protocols.clone(), stream, remote));
    }

    /// Waits until all are closed.
    pub(crate) async fn closed(&self) {
        self.open.close();
        self.open.wait().await;
    }
}
