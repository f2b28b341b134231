//! The UDP loops: one socket and one thread per core, no task for what needs no upstream.
//!
//! A thread that waits in the kernel for its own socket is woken by the packet itself; behind a runtime's poller every
//! answer would cost two more calls, and often another thread's wake-up.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::runtime::Handle;

use super::access::{Access, Admission};
use super::batch::{Batch, send_one};
use super::client::{Client, Transport};
use super::handler::{Handled, Handler, Pending};
use crate::resolver::Snapshots;

/// How often an idle loop looks whether it should end, where the system does not wake it for that.
const GLANCE: Duration = Duration::from_secs(1);
/// Bytes of stack for one loop.
const STACK: usize = 1 << 20;

/// Loops at work. They end when this is dropped.
pub struct Loops {
    end: Arc<AtomicBool>,
    sockets: Vec<Arc<UdpSocket>>,
    threads: Vec<JoinHandle<()>>,
}

impl Loops {
    /// Starts one on each socket. Must be called inside of a tokio runtime, on which upstreams are asked.
    pub fn start<P: Snapshots>(
        sockets: Vec<UdpSocket>,
        handler: &Arc<Handler<P>>,
        access: &Arc<Access>,
    ) -> io::Result<Self> {
        let mut loops = Self {
            end: Arc::default(),
            sockets: sockets.into_iter().map(Arc::new).collect(),
            threads: Vec::new(),
        };
        for socket in &loops.sockets {
            if !cfg!(target_os = "linux") {
                socket.set_read_timeout(Some(GLANCE))?;
            }
            let one = Loop {
                start: Instant::now(),
                listener: socket.local_addr()?.ip(),
                socket: Arc::clone(socket),
                handler: Arc::clone(handler),
                access: Arc::clone(access),
                end: Arc::clone(&loops.end),
                runtime: Handle::current(),
            };
            let thread = thread::Builder::new().name("udp".to_owned());
            let thread = thread.stack_size(STACK).spawn(move || one.serve())?;
            loops.threads.push(thread);
        }
        Ok(loops)
    }

    /// Ends them; the sockets are closed as soon as the last reply under way is out.
    pub async fn stop(mut self) {
        self.wake();
        let threads = std::mem::take(&mut self.threads);
        let join = || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await; // an error is a runtime that is gone
    }

    fn wake(&self) {
        self.end.store(true, Ordering::Relaxed);
        for socket in &self.sockets {
            // Linux wakes whoever waits, and says that there was no connection to shut down.
            let _ = SockRef::from(&**socket).shutdown(Shutdown::Read);
        }
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.wake();
    }
}

/// One socket's loop.
struct Loop<P: Snapshots> {
    start: Instant,
    listener: IpAddr,
    socket: Arc<UdpSocket>,
    handler: Arc<Handler<P>>,
    access: Arc<Access>,
    end: Arc<AtomicBool>,
    runtime: Handle,
}

impl<P: Snapshots> Loop<P> {
    fn serve(&self) {
        let _inside = self.runtime.enter();
        let mut batch = Batch::new();
        while !self.end.load(Ordering::Relaxed) {
            match batch.receive(&self.socket) {
                Ok(count) => {
                    (0..count).for_each(|place| self.reply(&mut batch, place));
                    batch.send(&self.socket);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // ICMP errors of earlier answers arrive here; they concern nobody else.
                    tracing::debug!("receiving on UDP: {error}");
                    thread::yield_now();
                }
            }
        }
    }

    fn reply(&self, batch: &mut Batch, place: usize) {
        let Some((query, source, reply)) = batch.query(place) else {
            return;
        };
        let client = Client {
            address: source.ip(),
            transport: Transport::Udp,
        };
        let elapsed = || self.start.elapsed();
        let admission = self.access.admit(client.address, self.listener, elapsed);
        let handled = match admission {
            Admission::Welcome => self.handler.handle(query, client, reply),
            Admission::Refused => self.handler.refuse(query, client, reply),
            Admission::Slowed => self.handler.send_to_tcp(query, client, reply),
            Admission::Dropped => Handled::Silence,
        };
        match handled {
            Handled::Silence => {}
            Handled::Ready => batch.keep_reply(),
            Handled::Pending(pending) => {
                let (socket, handler) = (Arc::clone(&self.socket), Arc::clone(&self.handler));
                self.runtime
                    .spawn(finish(socket, handler, *pending, source));
            }
        }
    }
}

async fn finish<P: Snapshots>(
    socket: Arc<UdpSocket>,
    handler: Arc<Handler<P>>,
    pending: Pending,
    client: SocketAddr,
) {
    let mut reply = Vec::new();
    handler.finish(pending, &mut reply).await;
    send_one(&socket, &reply, client);
}
