//! The UDP loops: one thread per core and address, and no task for a query that needs no upstream.
//!
//! A thread that waits in the kernel for its own socket is woken by the packet itself. Behind a runtime's poller every
//! reply would cost two more system calls, and often the wake-up of another thread. The same holds for threads that wait
//! for one inherited socket: a packet wakes one of them.
//!
//! A loop on a socket of our own ends when that is shut down. An inherited socket lives on in whoever handed it over, and
//! would stay shut down in the next process. So its loops look from time to time whether they should end.

use std::io;
use std::iter;
use std::net::{IpAddr, Shutdown, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::runtime::Handle;

use super::access::{Access, Admission};
use super::batch::{Batch, send_one};
use super::client::{Client, Transport};
use super::handler::{Handled, Handler};
use crate::resolver::Snapshots;
use crate::worker::{Crew, Tasks};

/// How often an idle loop looks whether it should end, where a shutdown does not wake it.
const GLANCE: Duration = Duration::from_secs(1);
/// Pause before a loop that failed goes on, so that one that fails at once leaves the machine some time.
const RESTART_PAUSE: Duration = Duration::from_millis(10);

/// Pause after a socket failed, doubled with each further failure in a row up to the longest.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row, over six seconds, after which a socket will not work again.
const FAILURES_MAX: u32 = 12;

/// The UDP sockets of one address.
pub enum Sockets {
    /// Those that share the port, one for each loop.
    Own(Vec<UdpSocket>),
    /// One that others have too, and the number of loops that read it.
    Inherited(UdpSocket, usize),
}

/// Loops at work. They end when this is dropped.
pub struct Loops {
    end: Arc<AtomicBool>,
    /// Those that are ours alone.
    own: Vec<Arc<UdpSocket>>,
}

impl Loops {
    /// Starts one for each socket, or several for one that was inherited. Must be called inside of a tokio runtime, on
    /// which upstreams are asked.
    pub fn start<P: Snapshots>(
        sockets: Vec<Sockets>,
        handler: &Arc<Handler<P>>,
        access: &Arc<Access>,
        crew: &mut Crew,
    ) -> io::Result<Self> {
        let mut loops = Self {
            end: Arc::default(),
            own: Vec::new(),
        };
        let mut read = Vec::new();
        for sockets in sockets {
            match sockets {
                Sockets::Own(own) => loops.own.extend(own.into_iter().map(Arc::new)),
                Sockets::Inherited(socket, count) => {
                    socket.set_read_timeout(Some(GLANCE))?;
                    read.extend(iter::repeat_n(Arc::new(socket), count.max(1)));
                }
            }
        }
        read.extend(loops.own.iter().cloned());
        for socket in read {
            if !cfg!(target_os = "linux") {
                socket.set_read_timeout(Some(GLANCE))?;
            }
            let address = socket.local_addr()?;
            let one = Loop {
                start: Instant::now(),
                listener: address.ip(),
                socket,
                handler: Arc::clone(handler),
                access: Arc::clone(access),
                end: Arc::clone(&loops.end),
                runtime: Handle::current(),
                waiting: Tasks::new("a UDP query that waited for an upstream"),
            };
            crew.thread(&format!("udp {address}"), move || one.serve_on())?;
        }
        Ok(loops)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for socket in &self.own {
            // Linux wakes whoever waits, and says that there was no connection to shut down.
            let _ = SockRef::from(&**socket).shutdown(Shutdown::Read);
        }
    }
}

/// One loop.
struct Loop<P: Snapshots> {
    start: Instant,
    listener: IpAddr,
    socket: Arc<UdpSocket>,
    handler: Arc<Handler<P>>,
    access: Arc<Access>,
    end: Arc<AtomicBool>,
    runtime: Handle,
    waiting: Tasks,
}

impl<P: Snapshots> Loop<P> {
    /// Serves until it is told to end, or until its socket is broken for good: then whoever watches the thread acts. A query
    /// at which the loop fails must not silence its address for all others, so it goes on with the next one.
    fn serve_on(&self) {
        let _inside = self.runtime.enter();
        let mut failures = 0u64;
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            failures += 1;
            tracing::error!("a UDP loop failed and was started again, {failures} times so far");
            thread::sleep(RESTART_PAUSE);
        }
    }

    fn serve(&self) {
        let (mut batch, mut failures) = (Batch::new(), 0);
        while !self.end.load(Ordering::Relaxed) && failures < FAILURES_MAX {
            match batch.receive(&self.socket) {
                Ok(count) => {
                    failures = 0;
                    (0..count).for_each(|place| self.reply(&mut batch, place));
                    batch.send(&self.socket);
                }
                Err(error) if is_passing(&error) => {}
                // A socket that was shut down reads as ended.
                Err(_) if self.end.load(Ordering::Relaxed) => {}
                Err(error) => {
                    failures += 1;
                    self.pause(failures, &error);
                }
            }
        }
    }

    /// Says that the socket failed, and gives it some time.
    fn pause(&self, failures: u32, error: &io::Error) {
        match failures {
            FAILURES_MAX => {
                tracing::error!("the UDP socket of {} is broken: {error}", self.listener);
            }
            _ => tracing::warn!("cannot receive on UDP: {error}"),
        }
        thread::sleep((FAILURE_PAUSE * 2_u32.pow(failures.min(10))).min(LONGEST_PAUSE));
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
        let handled = match self.access.admit(client.address, self.listener, elapsed) {
            Admission::Welcome => self.handler.handle(query, client, reply),
            Admission::Refused => self.handler.refuse(query, client, reply),
            Admission::Slowed => self.handler.send_to_tcp(query, client, reply),
            Admission::Dropped => Handled::Silence,
        };
        match handled {
            Handled::Silence => {}
            Handled::Ready | Handled::Garbage => batch.keep_reply(),
            Handled::Pending(pending) => {
                let (socket, handler) = (Arc::clone(&self.socket), Arc::clone(&self.handler));
                self.waiting.spawn(async move {
                    let mut reply = Vec::new();
                    handler.finish(*pending, &mut reply).await;
                    send_one(&socket, &reply, source);
                });
            }
        }
    }
}

/// Whether an error says nothing about the socket. ICMP errors of earlier replies arrive here too.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
        WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkUnreachable
            | WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::dns::fixture::query_bytes;
    use crate::resolver::fixture::Names;
    use crate::resolver::{Policy, SyncState};
    use crate::upstream::{ForwardOptions, Forwarder};
    use hickory_proto::rr::RecordType;
    use std::os::fd::OwnedFd;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Names that fail once they have been read so many times.
    struct Failing(Names, std::sync::atomic::AtomicU32);

    impl Snapshots for Failing {
        type Source = Names;

        fn snapshot(&self) -> Names {
            assert_ne!(self.1.fetch_sub(1, Ordering::Relaxed), 1, "on purpose");
            self.0.clone()
        }

        fn sync_state(&self) -> SyncState {
            SyncState::Synced
        }
    }

    #[tokio::test]
    async fn a_broken_socket_ends_its_loop_instead_of_spinning() {
        let clock = Arc::new(SystemClock::start());
        let forwarder = Forwarder::new(ForwardOptions::default(), clock).expect("no upstreams");
        let handler = Handler::new(
            Failing(Names::new(), 0.into()),
            Policy::default(),
            Arc::new(forwarder),
        );
        let no_socket = std::fs::File::open("/dev/null").expect("a file");
        let broken = Loop {
            start: Instant::now(),
            listener: IpAddr::from([127, 0, 0, 1]),
            socket: Arc::new(OwnedFd::from(no_socket).into()),
            handler: Arc::new(handler),
            access: Arc::default(),
            end: Arc::default(),
            runtime: Handle::current(),
            waiting: Tasks::new("a task of this test"),
        };
        let start = Instant::now();
        let ended = tokio::task::spawn_blocking(move || broken.serve_on()).await;
        ended.expect("it ends by itself");
        assert!(
            start.elapsed() > FAILURE_PAUSE * FAILURES_MAX,
            "it waits in between"
        );
    }

    #[tokio::test]
    async fn a_loop_that_fails_goes_on_with_the_next_query() {
        let clock = Arc::new(SystemClock::start());
        let forwarder = Forwarder::new(ForwardOptions::default(), clock).expect("no upstreams");
        let names = Failing(Names::new(), 2.into());
        let handler = Handler::new(names, Policy::default(), Arc::new(forwarder));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let server = socket.local_addr().expect("an address");
        let mut crew = Crew::default();
        let sockets = vec![Sockets::Own(vec![socket])];
        let loops = Loops::start(sockets, &Arc::new(handler), &Arc::default(), &mut crew);
        let ask = move || {
            let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            client
                .set_read_timeout(Some(PATIENCE / 10))
                .expect("a timeout");
            let query = query_bytes("nobody.podcast.", RecordType::A);
            client.send_to(&query, server).expect("a packet sent");
            client.recv(&mut [0; 512]).is_ok()
        };
        let answered = tokio::task::spawn_blocking(move || [ask(), ask(), ask()]).await;
        assert_eq!(answered.expect("three tries"), [false, true, true]);
        drop(loops);
        crew.stop(PATIENCE).await.expect("a stop in time");
    }
}
