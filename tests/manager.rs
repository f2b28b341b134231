//! A service manager: the sockets that it hands over (sd_listen_fds(3)), and what it is told (sd_notify(3)). The test
//! stands in its place.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use crate::common::dns::{Seen, query, see, tcp};
use crate::common::home::{Ended, Home, ended};
use crate::common::ports::free_address;
use crate::common::process::{Process, until};

/// The first descriptor that is handed over.
const FIRST: RawFd = 3;
/// For a reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sockets that live longer than the daemons that serve on them.
struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    fn at(address: SocketAddr) -> Self {
        let udp = UdpSocket::bind(address).unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        // As systemd has them.
        udp.set_nonblocking(true).unwrap();
        Self { udp, tcp }
    }

    fn address(&self) -> SocketAddr {
        self.udp.local_addr().unwrap()
    }

    fn descriptors(&self) -> Vec<OwnedFd> {
        let (udp, tcp) = (self.udp.try_clone(), self.tcp.try_clone());
        vec![udp.unwrap().into(), tcp.unwrap().into()]
    }
}

/// A `bnsd serve` that is given descriptors under this name, as systemd does it.
fn handed(home: &Home, descriptors: Vec<OwnedFd>, name: &str, arguments: &[&str]) -> Command {
    let start = "export LISTEN_PID=$$; exec \"$0\" \"$@\"";
    let program = env!("CARGO_BIN_EXE_bnsd");
    let serve = ["-c", start, program, "serve"];
    let mut command = home.command("sh", &[&serve[..], arguments].concat());
    command.env("LISTEN_FDS", descriptors.len().to_string());
    command.env("LISTEN_FDNAMES", vec![name; descriptors.len()].join(":"));
    let place = move || {
        // First out of the way of those that are placed, then to their places.
        let away = descriptors
            .iter()
            .map(|from| unsafe { libc::fcntl(from.as_raw_fd(), libc::F_DUPFD, 100) });
        let away: Vec<RawFd> = away.collect();
        for (number, from) in (FIRST..).zip(away) {
            unsafe { libc::dup2(from, number) };
            unsafe { libc::close(from) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only descriptors are copied.
    unsafe { command.pre_exec(place) };
    command
}

/// Processor time that a process has used, in ticks of 10 ms (proc(5), `stat`).
fn ticks(process: &Process) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let number = |place: usize| fields[place].parse::<u64>().unwrap();
    number(11) + number(12)
}

fn listeners(process: &mut Process, home: &Home) -> Vec<String> {
    process.ready(&home.state().join("control.sock")).listeners
}

#[test]
fn a_second_daemon_goes_on_with_the_sockets_of_the_first() {
    let home = Home::new();
    let sockets = Sockets::at(free_address());
    let address = sockets.address();
    let start = || Process::start(&home, handed(&home, sockets.descriptors(), "dns", &[]));
    let mut first = start();
    assert_eq!(listeners(&mut first, &home), [address.to_string()]);
    let seen = see(address, "localhost", RecordType::A);
    assert_eq!(seen.rcode, ResponseCode::NoError, "{}", first.stderr());
    assert!(first.terminate().success(), "{}", first.stderr());

    // Nobody is there: both questions wait.
    let question = query("localhost", RecordType::A);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
        .send_to(&question.to_vec().unwrap(), address)
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bytes = question.to_vec().unwrap();
    let length = u16::try_from(bytes.len()).unwrap();
    stream
        .write_all(&[&length.to_be_bytes()[..], &bytes].concat())
        .unwrap();

    let mut second = start();
    let mut reply = [0; 1500];
    let length = client
        .recv(&mut reply)
        .expect("a reply to the question that waited");
    let reply = Message::from_vec(&reply[..length]).unwrap();
    assert_eq!(reply.answers.len(), 1);
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a reply over TCP");

    assert_eq!(listeners(&mut second, &home), [address.to_string()]);
    let seen = Seen::of(&tcp(address, &question));
    assert_eq!(seen.rcode, ResponseCode::NoError);
    std::thread::sleep(Duration::from_millis(500)); // the start is over
    let (before, start) = (ticks(&second), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let used = Duration::from_millis(10 * (ticks(&second) - before));
    assert!(
        used < start.elapsed() / 20,
        "{used:?} in two seconds of idling"
    );
    let told = Instant::now();
    assert!(second.terminate().success());
    assert!(
        told.elapsed() < Duration::from_secs(5),
        "{:?}",
        told.elapsed()
    );
}

#[test]
fn sockets_that_were_handed_over_are_served_instead_of_those_configured() {
    let home = Home::new();
    let sockets = Sockets::at(free_address());
    let other = free_address().to_string();
    let command = handed(&home, sockets.descriptors(), "dns", &["--listen", &other]);
    let mut daemon = Process::start(&home, command);
    let address = sockets.address().to_string();
    assert_eq!(listeners(&mut daemon, &home), [address.as_str()]);
    let log = daemon.stderr();
    let warning = log
        .lines()
        .find(|line| line.contains("`listen` is not heeded"));
    assert!(warning.is_some_and(|line| line.contains(&address)), "{log}");
}

#[test]
fn what_is_no_socket_for_dns_is_refused_and_named() {
    let home = Home::new();
    let refused =
        |descriptors, name| -> Ended { ended(&mut handed(&home, descriptors, name, &[])) };
    let sockets = Sockets::at(free_address());
    let (stream, _other) = UnixStream::pair().unwrap();
    let (pipe, _writer) = std::io::pipe().unwrap();
    let udp = || sockets.udp.try_clone().unwrap().into();
    let cases: [(Vec<OwnedFd>, &str, &str); 5] = [
        (
            vec![stream.into()],
            "dns",
            "descriptor 3 that the service manager passed is a unix stream socket",
        ),
        (
            vec![udp(), pipe.into()],
            "dns",
            "descriptor 4 that the service manager passed is a pipe",
        ),
        (vec![udp()], "dns", "add ListenStream=127.0.0.1:"),
        (vec![udp(), udp()], "dns", "two UDP sockets for 127.0.0.1:"),
        (
            sockets.descriptors(),
            "web",
            "is called `web`, and bnsd takes `dns`",
        ),
    ];
    for (descriptors, name, part) in cases {
        let ended = refused(descriptors, name);
        assert_eq!(ended.code, 3, "{ended:?}");
        let error = ended
            .stderr
            .lines()
            .find(|line| line.starts_with("error: "));
        let error = error.unwrap_or_else(|| panic!("{ended:?}"));
        assert!(error.contains(part), "{error}");
    }
    let mut none = handed(&home, Vec::new(), "dns", &[]);
    let none = ended(none.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "dns:dns"));
    assert_eq!(none.code, 3, "{none:?}");
    assert!(none.stderr.contains("LISTEN_FDS"), "{none:?}");
}

// ---- what is told ---------------------------------------------------------------------------------------

/// The manager's end.
struct Told(UnixDatagram);

impl Told {
    fn at(home: &Home) -> (Self, String) {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self(socket), path.display().to_string())
    }

    /// The next message, in lines.
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 1500];
        let length = self.0.recv(&mut bytes).expect("a message");
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for a message with this line.
    fn wait_for(&self, line: &str) {
        while !self.next().iter().any(|told| told == line) {}
    }

    /// Whether nothing comes for so long, after what has come already.
    fn is_silent_for(&self, time: Duration) -> bool {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 1500]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
        self.0.set_read_timeout(Some(time)).unwrap();
        let is_silent = self.0.recv(&mut [0; 1500]).is_err();
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        is_silent
    }
}

#[test]
fn the_manager_is_told_of_start_state_and_end() {
    let home = Home::new();
    let (told, path) = Told::at(&home);
    let sockets = Sockets::at(free_address());
    let mut command = handed(&home, sockets.descriptors(), "dns", &[]);
    command.env("NOTIFY_SOCKET", path);
    command.env("WATCHDOG_USEC", "300000");
    let mut daemon = Process::start(&home, command);
    // When it says so, it answers.
    told.wait_for("READY=1");
    let seen = see(sockets.address(), "localhost", RecordType::A);
    assert_eq!(seen.rcode, ResponseCode::NoError);
    told.wait_for("WATCHDOG=1");
    let beat = told.next();
    assert!(
        beat.iter()
            .any(|line| line.starts_with("STATUS=no block yet, ")),
        "{beat:?}"
    );
    let status = daemon.ready(&home.state().join("control.sock"));
    let counted: u64 = status.queries.values().sum();
    assert_eq!(counted, 1, "its own questions do not count");
    assert!(daemon.terminate().success());
    told.wait_for("STOPPING=1");
}

#[test]
fn the_manager_is_told_when_a_reload_begins_and_ends() {
    let home = Home::new();
    let (told, path) = Told::at(&home);
    let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", path);
    let daemon = Process::start(&home, command);
    told.wait_for("READY=1");
    let id = daemon.id().to_string();
    let sent = Command::new("kill").args(["-HUP", &id]).status();
    assert!(sent.is_ok_and(|status| status.success()), "kill");
    let begun = loop {
        let lines = told.next();
        if lines.iter().any(|line| line == "RELOADING=1") {
            break lines;
        }
    };
    let has_time = begun.iter().any(|line| line.starts_with("MONOTONIC_USEC="));
    assert!(has_time, "systemd leaves it out otherwise: {begun:?}");
    told.wait_for("READY=1");
}

/// A file of hosts that can no longer be read to its end holds every question up, and systemd has to hear of it by
/// hearing nothing.
#[test]
fn a_resolver_that_is_stuck_does_not_tell_the_watchdog_that_all_is_well() {
    let home = Home::new();
    let (told, path) = Told::at(&home);
    let etc = home.folder("etc");
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n").unwrap();
    let program = env!("CARGO_BIN_EXE_bnsd");
    let start = "mount --bind \"$0\" /etc && exec \"$@\"";
    let etc_text = etc.display().to_string();
    let words = [
        "--mount",
        "sh",
        "-c",
        start,
        &etc_text,
        program,
        "serve",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut command = home.command("unshare", &words);
    command.env("NOTIFY_SOCKET", path);
    command.env("WATCHDOG_USEC", "300000");
    let mut daemon = Process::start(&home, command);
    daemon.ready(&home.state().join("control.sock"));
    told.wait_for("WATCHDOG=1");
    assert!(!told.is_silent_for(Duration::from_secs(2)));
    let made = Command::new("mkfifo").arg(etc.join("fifo")).status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "mkfifo of the Debian package `coreutils`"
    );
    fs::rename(etc.join("fifo"), etc.join("hosts")).unwrap();
    until("the watchdog to hear nothing", || {
        told.is_silent_for(Duration::from_secs(2)).then_some(())
    });
}
