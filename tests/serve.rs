//! What somebody sees in the first minute of `bnsd serve`: a machine that is not ready is said in one sentence, without
//! configuration other names are forwarded all the same, and nothing is given away beyond the machine and its user.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bnsd::dns::BindError;
use bnsd::upstream::ForwardError;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::common::dns::see;
use crate::common::home::{Ended, Home, ended, is_one_sentence};
use crate::common::process::{Process, listener, serve, status, until};
use crate::common::unbound::{Unbound, free_port};

/// A user that exists on every system and owns nothing.
const NOBODY: u32 = 65_534;

/// Whoever looks for trouble in the log finds none in a normal stop.
#[test]
fn a_normal_stop_warns_of_nothing() {
    let home = Home::new();
    let mut daemon = serve(&home, &[("BNSD_CHAIN_SOURCE", "dev")]);
    daemon.ready(&home.state().join("control.sock"));
    assert!(daemon.terminate().success());
    let log = daemon.stderr();
    let (_, stop) = log.split_once("stopping").expect("it says that it stops");
    assert!(!stop.contains("WARN") && !stop.contains("ERROR"), "{log}");
}

// ---- addresses and rights -------------------------------------------------------------------------------

#[test]
fn a_taken_port_is_said() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for address in [tcp.local_addr(), udp.local_addr()] {
        let address = address.expect("an address").to_string();
        for command in ["serve", "demo"] {
            let home = Home::new();
            let mut command = home.bnsd(&[command, "--listen", &address]);
            let ended = ended(command.env("BNSD_CHAIN_SOURCE", "dev"));
            is_one_sentence(
                &ended,
                3,
                &["is taken", "stop it, or choose another with --listen"],
            );
            assert!(!home.path().join(".local").exists(), "nothing was created");
        }
    }
}

#[test]
fn an_address_of_another_machine_is_said() {
    let ended = Home::new().run(&["serve", "--listen", "192.0.2.1:5300", "--log", "error"]);
    is_one_sentence(
        &ended,
        3,
        &["192.0.2.1 is no address of this machine", "--listen"],
    );
}

/// Run as a user without rights, in a copy that this user can reach.
#[test]
fn a_port_that_needs_rights_is_said() {
    let parts = [
        "needs more rights",
        "CAP_NET_BIND_SERVICE",
        "a port above 1023",
    ];
    let Some(port) = privileged_port() else {
        // Containers often leave every port to everyone: then nobody can meet the error, only read it.
        let text = BindError::Denied(([127, 0, 0, 1], 53).into()).to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        return;
    };
    let home = Home::new();
    // Not by this process: while it writes, a test beside may start a program, and nobody can start this one.
    let program = home.path().join("program").display().to_string();
    let copied = ended(&mut home.command("cp", &[env!("CARGO_BIN_EXE_bnsd"), &program]));
    assert_eq!(copied.code, 0, "{copied:?}");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("our own directory");
    let listen = format!("127.0.0.1:{port}");
    let mut command = home.command(&program, &["serve", "--listen", &listen]);
    command.current_dir(home.path());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    is_one_sentence(&ended(&mut command), 3, &parts);
}

/// The highest port that the system keeps for itself (ip(7)), if it keeps any.
fn privileged_port() -> Option<u16> {
    let setting = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let start: u16 = setting.expect("Linux").trim().parse().expect("a number");
    start.checked_sub(1).filter(|port| *port > 0)
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    status.lines().any(|line| line.starts_with("Uid:\t0\t0"))
}

#[test]
fn a_second_instance_is_told_about_the_first() {
    let home = Home::new();
    let mut first = serve(&home, &[]);
    first.ready(&home.state().join("control.sock"));
    let ended = home.run(&["serve", "--listen", "127.0.0.1:0"]);
    let process = format!("(process {})", first.id());
    is_one_sentence(
        &ended,
        3,
        &[
            "is in use by another bnsd",
            &process,
            "another data directory",
        ],
    );
    assert!(first.terminate().success());
    // Free again, also after a kill.
    for _ in 0..2 {
        let mut next = serve(&home, &[]);
        next.ready(&home.state().join("control.sock"));
        next.kill();
    }
}

/// Started twice, as it will be.
#[test]
fn a_second_demo_is_told_about_the_first() {
    let home = Home::new();
    let mut first = Process::start(&home, home.bnsd(&["demo", "--listen", "127.0.0.1:0"]));
    let status = first.ready(&home.state().join("demo/control.sock"));
    let elsewhere = home.run(&["demo", "--listen", "127.0.0.1:0"]);
    is_one_sentence(
        &elsewhere,
        3,
        &[
            "another process uses the chain",
            "stop it, or choose another directory",
        ],
    );
    let data = home.path().join("other").display().to_string();
    let taken = listener(&status).to_string();
    let same_port = home.run(&["demo", "--listen", &taken, "--data-dir", &data]);
    is_one_sentence(&same_port, 3, &["is taken (by another bnsd?)", "--listen"]);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_said() {
    let home = Home::new();
    fs::write(home.path().join("file"), b"").expect("a file");
    let path = home.path().join("file/data").display().to_string();
    let ended = home.run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &path]);
    is_one_sentence(
        &ended,
        3,
        &["cannot use", &path, "choose another data directory"],
    );
}

#[test]
fn a_watched_folder_that_is_not_there_is_said() {
    let home = Home::new();
    let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
    let folder = home.path().join("nowhere").display().to_string();
    let ended = ended(command.env("BNSD_ZONEFILES_FOLDERS", &folder));
    is_one_sentence(
        &ended,
        3,
        &[&folder, "create it or correct `zonefiles.folders`"],
    );
}

// ---- the first minute -----------------------------------------------------------------------------------

/// No configuration, no node: legacy names work, and what is missing is said.
#[test]
fn serve_without_configuration_forwards_and_says_what_is_missing() {
    let unbound = Unbound::start();
    let home = Home::new();
    let mut daemon = serve(
        &home,
        &[("BNSD_DNS_UPSTREAMS", &unbound.address.to_string())],
    );
    let status = daemon.ready(&home.state().join("control.sock"));
    let server = listener(&status);
    assert!(see(server, "www.example.com", RecordType::A).has_address("93.184.215.14"));
    assert_eq!(
        see(server, "nosuch.example.com", RecordType::A).rcode,
        ResponseCode::NXDomain
    );
    // .id is Indonesia's too: without a chain it is forwarded. The alias never is.
    assert_eq!(
        see(server, "werner.id", RecordType::A).rcode,
        ResponseCode::NXDomain
    );
    assert!(unbound.was_asked("werner.id"));
    let alias = see(server, "werner.id.bns.alt", RecordType::A);
    assert_eq!(
        (alias.rcode, alias.ede.map(|(code, _)| code)),
        (ResponseCode::ServFail, Some(14))
    );
    assert!(!unbound.was_asked("werner.id.bns.alt"));

    let missing = "no chain source is configured";
    let lines = "`source = \"log\"` and `logs = [\"https://HOST/FOLDER\"]`";
    assert!(
        status
            .warnings
            .iter()
            .any(|warning| warning.contains(missing)),
        "{status:?}"
    );
    assert!(
        daemon.stderr().contains(missing) && daemon.stderr().contains(lines),
        "{}",
        daemon.stderr()
    );
    let page = home.run(&["status"]);
    assert!(page.code == 0 && page.stdout.contains(lines), "{page:?}");
    let lookup = home.run(&["lookup", "www.example.com"]);
    assert!(
        lookup.code == 0 && lookup.stdout.contains("93.184.215.14"),
        "{lookup:?}"
    );
    let no = home.run(&["lookup", "nosuch.example.com"]);
    assert!(no.code == 1 && no.stdout.contains("NXDOMAIN"), "{no:?}");
    assert!(daemon.terminate().success());
}

/// A machine whose system names no resolver, in a mount namespace of its own.
#[test]
fn without_an_upstream_the_answer_says_what_to_set() {
    const NAMESPACE: [&str; 3] = ["--mount", "--user", "--map-root-user"];
    let home = Home::new();
    let hint = "no upstream configured; set upstreams";
    let possible = ended(&mut home.command("unshare", &[&NAMESPACE[..], &["true"]].concat()));
    if possible.code != 0 {
        // Where there are no namespaces for everyone, the machine's resolvers cannot be taken away.
        let said = ForwardError::NoUpstream.extended();
        assert!(said.code == 22 && said.text.contains(hint), "{said:?}");
        return;
    }
    fs::write(home.path().join("resolv.conf"), "# no resolver\n").expect("a file");
    let script = "mount --bind \"$HOME/resolv.conf\" /etc/resolv.conf && exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_bnsd");
    let inside = [
        "sh",
        "-c",
        script,
        "sh",
        program,
        "serve",
        "--listen",
        "127.0.0.1:0",
    ];
    let arguments = [&NAMESPACE[..], &inside[..]].concat();
    let mut daemon = Process::start(&home, home.command("unshare", &arguments));
    let status = daemon.ready(&home.state().join("control.sock"));
    assert!(status.upstreams.is_empty(), "{status:?}");
    let set = |warning: &String| warning.contains("set `dns.upstreams`");
    assert!(status.warnings.iter().any(set), "{status:?}");
    let seen = see(listener(&status), "www.example.com", RecordType::A);
    assert_eq!(seen.rcode, ResponseCode::ServFail);
    let (code, text) = seen.ede.expect("an explanation");
    assert!(code == 22 && text.contains(hint), "{code} {text}");
    let lookup = home.run(&["lookup", "www.example.com"]);
    assert!(
        lookup.code == 3 && lookup.stdout.contains(hint),
        "{lookup:?}"
    );
}

#[test]
fn a_silent_upstream_is_said() {
    let home = Home::new();
    let nobody = free_port().to_string();
    let mut daemon = serve(&home, &[("BNSD_DNS_UPSTREAMS", &nobody)]);
    let status = daemon.ready(&home.state().join("control.sock"));
    let seen = see(listener(&status), "www.example.com", RecordType::A);
    assert_eq!(seen.rcode, ResponseCode::ServFail);
    let (code, text) = seen.ede.expect("an explanation");
    assert!(
        matches!(code, 22 | 23) && text.contains("upstream"),
        "{code} {text}"
    );
}

/// A chain of one's own, which needs nothing: what is missing is said, and each thing takes one command.
#[test]
fn the_embedded_chain_can_be_used_at_once() {
    let home = Home::new();
    let mut daemon = serve_embedded(&home);
    let socket = home.state().join("control.sock");
    until("the first block", || status(&socket)?.height);
    let before = daemon.ready(&socket);
    let missing = |warning: &String| warning.contains("`bnsd namespace open id`");
    assert!(before.warnings.iter().any(missing), "{before:?}");

    let new = with_keys(&home, &["keys", "new", "me"]);
    assert_eq!(new.code, 0, "{new:?}");
    let opened = with_keys(&home, &["namespace", "open", "id"]);
    assert_eq!(opened.code, 0, "{opened:?}");
    assert!(opened.stdout.starts_with("id is open\n"), "{opened:?}");
    for step in [
        "the faucet gave 5",
        "id is preordered in block",
        "id is revealed in block",
        "id is open in block",
    ] {
        assert!(opened.stderr.contains(step), "{step:?}: {opened:?}");
    }
    let again = with_keys(&home, &["namespace", "open", "id"]);
    let is_open = again.stdout.starts_with("id is open already\n");
    assert!(
        (again.code, is_open, again.stderr.as_str()) == (0, true, ""),
        "{again:?}"
    );

    let file = home.path().join("me.zone");
    fs::write(&file, "$ORIGIN me.id\n$TTL 600\n@ A 192.0.2.77\n").expect("our own file");
    let file = file.display().to_string();
    let register = ["name", "register", "me.id", "--yes", "--zonefile", &file];
    let registered = with_keys(&home, &register);
    assert_eq!(registered.code, 0, "{registered:?}");
    assert!(see(listener(&before), "me.id", RecordType::A).has_address("192.0.2.77"));
    let after = daemon.ready(&socket);
    assert!(!after.warnings.iter().any(missing), "{after:?}");
    assert!(daemon.terminate().success());
}

/// Whatever step it was killed at, the next run goes on with it.
#[test]
fn opening_a_namespace_is_gone_on_with() {
    let home = Home::new();
    let mut daemon = serve_embedded(&home);
    daemon.ready(&home.state().join("control.sock"));
    assert_eq!(with_keys(&home, &["keys", "new", "me"]).code, 0);
    for (id, pause) in [
        ("one", 300),
        ("two", 700),
        ("three", 1_100),
        ("four", 1_500),
    ] {
        let open = ["namespace", "open", id];
        let mut killed = Process::start(&home, command_with_keys(&home, &open));
        std::thread::sleep(Duration::from_millis(pause));
        killed.kill();
        let ended = with_keys(&home, &open);
        assert_eq!(ended.code, 0, "{id}: {ended:?}");
        assert!(
            ended.stdout.starts_with(&format!("{id} is open")),
            "{ended:?}"
        );
    }
}

/// Where coins are worth something, the three operations are commands of their own.
#[test]
fn a_namespace_is_opened_in_one_command_on_the_embedded_chain_alone() {
    let home = Home::new();
    let mut daemon = serve(&home, &[("BNSD_DNS_UPSTREAMS", "127.0.0.1:9")]);
    daemon.ready(&home.state().join("control.sock"));
    let parts = [
        "embedded chain",
        "`bnsd namespace preorder id`",
        "burns",
        "`bnsd namespace reveal id`",
        "`bnsd namespace ready id`",
        "Nothing was sent",
    ];
    is_one_sentence(&with_keys(&home, &["namespace", "open", "id"]), 2, &parts);
}

fn serve_embedded(home: &Home) -> Process {
    let listen = ["serve", "--source", "dev", "--listen", "127.0.0.1:0"];
    let mut command = home.bnsd(&listen);
    command.args(["--upstream", "127.0.0.1:9"]);
    Process::start(home, command)
}

fn command_with_keys(home: &Home, arguments: &[&str]) -> Command {
    let passphrase = home.path().join("passphrase");
    fs::write(&passphrase, "a passphrase of its own").expect("our own file");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("our own file");
    let mut command = home.bnsd(arguments);
    command.env("BNSD_KEYS_DIR", home.path().join("keys"));
    command.env("BNSD_PASSPHRASE_FILE", passphrase);
    command
}

fn with_keys(home: &Home, arguments: &[&str]) -> Ended {
    ended(&mut command_with_keys(home, arguments))
}

// ---- what a daemon gives away ---------------------------------------------------------------------------

#[test]
fn the_control_socket_and_the_data_are_for_their_owner_alone() {
    let home = Home::new();
    let mut daemon = serve(&home, &[]);
    let socket = home.state().join("control.sock");
    daemon.ready(&socket);
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode(&socket), mode(&home.state())), (0o600, 0o700));
    assert!(daemon.terminate().success());
    assert!(
        !socket.exists(),
        "a daemon that stops takes its socket away"
    );
}

/// With the built-in addresses, but for their port.
#[test]
fn nothing_listens_beyond_loopback() {
    let (port, page) = (free_port().port(), free_port());
    let listen = format!("127.0.0.1:{port},[::1]:{port}");
    // That of Atlas is there as well, unless another daemon of this machine has it.
    let ports = [port, page.port(), 6264];
    for command in ["serve", "demo"] {
        let home = Home::new();
        let mut command = home.bnsd(&[command]);
        let mut daemon = Process::start(&home, {
            command.env("BNSD_LISTEN", &listen);
            command.env("BNSD_API_LISTEN", page.to_string());
            command
        });
        let sockets = until("sockets", || {
            assert!(!daemon.has_ended(), "{}", daemon.stderr());
            Some(listening(daemon.id())).filter(|sockets| sockets.len() >= 2)
        });
        for socket in &sockets {
            assert!(
                socket.ip().is_loopback() && ports.contains(&socket.port()),
                "{sockets:?}"
            );
        }
    }
    // These are what the test overrode: loopback too.
    let shown = Home::new().run(&["config", "show"]).stdout;
    assert!(shown.contains("127.0.0.1:53, [::1]:53"), "{shown}");
    assert!(shown.contains("127.0.0.1:6270"), "{shown}");
}

/// Addresses on which a process takes TCP connections or UDP packets (proc(5)).
fn listening(process: u32) -> Vec<SocketAddr> {
    let inodes = inodes(process);
    let mut found = Vec::new();
    for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let text = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == state && inodes.contains(&fields[9].to_owned()) {
                found.push(address(fields[1]));
            }
        }
    }
    found
}

fn inodes(process: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return Vec::new();
    };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let socket = |link: std::path::PathBuf| {
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inode.to_owned())
    };
    links.filter_map(socket).collect()
}

/// `0100007F:14B4`: words in the byte order of the machine.
fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.split_once(':').expect("an address");
    let port = u16::from_str_radix(port, 16).expect("a port");
    let words = (0..ip.len()).step_by(8).map(|at| {
        let word = u32::from_str_radix(&ip[at..at + 8], 16).expect("a word");
        word.to_ne_bytes()
    });
    let bytes: Vec<u8> = words.flatten().collect();
    match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(four) => (four, port).into(),
        Err(_) => (<[u8; 16]>::try_from(bytes).expect("16 bytes"), port).into(),
    }
}
