//! What somebody sees who types something wrong, or meets a machine that is not ready: one sentence on the standard
//! error that says what to do, and an exit code for scripts. And what a daemon gives away: nothing beyond loopback.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use bnsd::config::key::KEYS;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::Value;

use crate::common::dns::see;
use crate::common::home::{Ended, Home, ended};
use crate::common::process::{Process, listener, until};
use crate::common::unbound::{Unbound, free_port};

/// A user that exists on every system and owns nothing.
const NOBODY: u32 = 65_534;

/// Exit code, one sentence on the standard error with all of `parts`, nothing on the standard output.
fn is_one_sentence(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{ended:?}");
    let line = ended.stderr.strip_suffix('\n').expect("a line");
    assert!(
        line.starts_with("error: ") && !line.contains('\n'),
        "{ended:?}"
    );
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

/// A `bnsd serve` on a free port, with `environment` on top.
fn serve(home: &Home, environment: &[(&str, &str)]) -> Process {
    let mut command = home.bnsd(&["serve", "--listen", "127.0.0.1:0"]);
    command.envs(environment.iter().copied());
    Process::start(home, command)
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
            let ended = home.run(&[command, "--listen", &address]);
            is_one_sentence(
                &ended,
                3,
                &["is taken", "stop it, or choose another with --listen"],
            );
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
    let home = Home::new();
    let program = home.path().join("program");
    // Not by this process: while it writes, a test beside may start a program, and nobody can start this one.
    let program = program.display().to_string();
    let copied = ended(&mut home.command("cp", &[env!("CARGO_BIN_EXE_bnsd"), &program]));
    assert_eq!(copied.code, 0, "{copied:?}");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("our own directory");
    let mut command = home.command(&program, &["serve", "--listen"]);
    command
        .arg(format!("127.0.0.1:{}", privileged_port()))
        .current_dir(home.path());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ended = ended(&mut command);
    is_one_sentence(
        &ended,
        3,
        &[
            "needs more rights",
            "CAP_NET_BIND_SERVICE",
            "a port above 1023",
        ],
    );
}

/// The highest port that the system keeps for itself (ip(7)).
fn privileged_port() -> u16 {
    let setting = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let start: u16 = setting.expect("Linux").trim().parse().expect("a number");
    assert!(
        start > 1,
        "every port is free for everyone here: set net.ipv4.ip_unprivileged_port_start to 1024"
    );
    start - 1
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

// ---- configuration --------------------------------------------------------------------------------------

/// What `--check-config` says about a file.
fn check(text: &str) -> Ended {
    let home = Home::new();
    let path = home.path().join("bnsd.toml");
    fs::write(&path, text).expect("a file");
    home.run(&[
        "serve",
        "--check-config",
        "--config",
        &path.display().to_string(),
    ])
}

#[test]
fn a_wrong_configuration_is_an_error_with_its_line() {
    let cases: [(&str, &[&str]); 9] = [
        (
            "listn = [\"127.0.0.1:53\"]\n",
            &[
                "bnsd.toml:1",
                "unknown key `listn`",
                "did you mean `listen`?",
            ],
        ),
        (
            "\n[dns]\nmaxttl = 5\n",
            &["bnsd.toml:3", "did you mean `dns.max-ttl`?"],
        ),
        (
            "[frobnication]\n",
            &[
                "bnsd.toml:1",
                "unknown key",
                "`bnsd config show` lists all keys",
            ],
        ),
        ("listen = [\n", &["bnsd.toml:", "not valid TOML"]),
        (
            "listen = [\"127.0.0.1\"]\n",
            &["bnsd.toml:1", "write for example 127.0.0.1:53"],
        ),
        (
            "listen = []\n",
            &["bnsd.toml:1", "name at least one address"],
        ),
        (
            "listen = 53\n",
            &["bnsd.toml:1", "expected a list of texts"],
        ),
        (
            "[dns]\nmax-ttl = \"long\"\n",
            &["bnsd.toml:2", "expected a whole number"],
        ),
        (
            "[chain]\nsource = \"carrier pigeon\"\n",
            &["bnsd.toml:2", "chain.source"],
        ),
    ];
    for (text, parts) in cases {
        is_one_sentence(&check(text), 2, parts);
    }
}

#[test]
fn a_right_configuration_is_ok() {
    let ended =
        check("listen = [\"127.0.0.1:5301\"]\n[dns]\nmax-ttl = 60\nupstreams = [\"192.0.2.1\"]\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, "OK\n", "")
    );
    let exposed = check("listen = [\"0.0.0.0:5301\"]\n");
    assert!(
        exposed.code == 0 && exposed.stdout.contains("warning: DNS on 0.0.0.0:5301"),
        "{exposed:?}"
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_said() {
    let home = Home::new();
    let path = home.path().join("bnsd.toml").display().to_string();
    let missing = home.run(&["serve", "--config", &path]);
    is_one_sentence(
        &missing,
        2,
        &[
            "there is no configuration file",
            &path,
            "create it, or leave out --config",
        ],
    );
    fs::create_dir(&path).expect("a directory");
    is_one_sentence(
        &home.run(&["serve", "--config", &path]),
        3,
        &["cannot read the configuration file", &path],
    );
    fs::remove_dir(&path).expect("a directory");
    fs::write(&path, b"listen = [\"\xff\"]").expect("a file");
    is_one_sentence(
        &home.run(&["serve", "--config", &path]),
        3,
        &["cannot read the configuration file", "UTF-8"],
    );
}

/// The file at the platform's place is read without being named.
#[test]
fn the_configuration_at_its_place_is_read() {
    let home = Home::new();
    let place = home.folder(".config/bnsd");
    fs::write(place.join("bnsd.toml"), "listn = 1\n").expect("a file");
    for command in [["serve", "--check-config"], ["config", "show"]] {
        is_one_sentence(&home.run(&command), 2, &["bnsd.toml:1", "listn"]);
    }
}

#[test]
fn config_show_lists_every_key_with_its_origin() {
    let home = Home::new();
    let place = home.folder(".config/bnsd");
    fs::write(
        place.join("bnsd.toml"),
        "[dns]\nmax-lag = 99\n[namespaces]\nid = \"only\"\n",
    )
    .expect("a file");
    let show = |arguments: &[&str]| {
        let mut command = home.bnsd(&["config", "show", "--log", "warn"]);
        ended(command.args(arguments).env("BNSD_DNS_MAX_TTL", "77"))
    };
    let page = show(&[]);
    assert_eq!((page.code, page.stderr.as_str()), (0, ""));
    for key in KEYS {
        let line = |line: &str| line.split_whitespace().next() == Some(key.name);
        assert!(
            page.stdout.lines().any(line),
            "{} is not in {}",
            key.name,
            page.stdout
        );
    }
    let json: Value = serde_json::from_str(&show(&["--json"]).stdout).expect("JSON");
    let of = |key: &str| {
        let settings = json["settings"].as_array().expect("a list");
        let setting = settings.iter().find(|setting| setting["key"] == key);
        setting.expect("a key").clone()
    };
    let cases: [(&str, Value, &str); 5] = [
        ("dns.max-ttl", 77.into(), "environment"),
        ("dns.max-lag", 99.into(), "file"),
        ("log.level", "warn".into(), "flag"),
        ("chain.source", "none".into(), "default"),
        ("namespaces.id", "only".into(), "file"),
    ];
    for (key, value, kind) in cases {
        let setting = of(key);
        assert_eq!(
            (&setting["value"], &setting["origin"]["kind"]),
            (&value, &Value::from(kind)),
            "{key}"
        );
        let value = value.as_str().map_or(value.to_string(), str::to_owned);
        let shown = |line: &str| line.split_whitespace().take(2).eq([key, value.as_str()]);
        assert!(
            page.stdout.lines().any(shown),
            "{key} is not in {}",
            page.stdout
        );
    }
    assert_eq!(
        of("listen")["value"],
        serde_json::json!(["127.0.0.1:53", "[::1]:53"])
    );
}

// ---- asking a daemon ------------------------------------------------------------------------------------

#[test]
fn without_a_daemon_the_commands_say_so() {
    let home = Home::new();
    // The socket of another daemon on this machine must not be found.
    let socket = home.path().join("control.sock").display().to_string();
    for command in [
        vec!["lookup", "werner.id"],
        vec!["explain", "werner.id"],
        vec!["status"],
    ] {
        let ended = home.run(&[&command[..], &["--control-socket", &socket]].concat());
        is_one_sentence(
            &ended,
            3,
            &[
                "no bnsd is running",
                &socket,
                "start it with `bnsd serve` or `bnsd demo`",
            ],
        );
    }
}

#[test]
fn wrong_questions_are_wrong_use() {
    let home = Home::new();
    let mut daemon = serve(&home, &[]);
    daemon.ready(&home.state().join("control.sock"));
    let no_type = home.run(&["lookup", "werner.id", "FROB"]);
    is_one_sentence(
        &no_type,
        2,
        &["FROB is no record type", "use a name like A or TYPE65280"],
    );
    is_one_sentence(
        &home.run(&["explain", "werner.id", "FROB"]),
        2,
        &["FROB is no record type"],
    );
    let long = format!("{}.id", "a".repeat(64));
    is_one_sentence(&home.run(&["lookup", &long]), 2, &["is no domain name"]);
    let early = home.run(&["lookup", "werner.id", "--at", "5"]);
    is_one_sentence(&early, 2, &["no block is indexed yet", "ask without --at"]);
    for wrong in [
        vec!["frob"],
        vec!["lookup"],
        vec!["serve", "--frob"],
        vec!["lookup", "a.id", "--at", "soon"],
    ] {
        let ended = home.run(&wrong);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    }
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
    assert!(
        status
            .warnings
            .iter()
            .any(|warning| warning.contains(missing)),
        "{status:?}"
    );
    assert!(
        daemon.stderr().contains("no chain source is configured"),
        "{}",
        daemon.stderr()
    );
    let page = home.run(&["status"]);
    assert!(
        page.code == 0 && page.stdout.contains("set `chain.source`"),
        "{page:?}"
    );
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
    let home = Home::new();
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
    let arguments = [&["--mount", "--user", "--map-root-user"], &inside[..]].concat();
    let mut daemon = Process::start(&home, home.command("unshare", &arguments));
    let status = daemon.ready(&home.state().join("control.sock"));
    assert!(status.upstreams.is_empty(), "{status:?}");
    assert!(
        status
            .warnings
            .iter()
            .any(|warning| warning.contains("set `dns.upstreams`")),
        "{status:?}"
    );
    let seen = see(listener(&status), "www.example.com", RecordType::A);
    assert_eq!(seen.rcode, ResponseCode::ServFail);
    let (code, text) = seen.ede.expect("an explanation");
    assert!(
        code == 22 && text.contains("no upstream configured; set"),
        "{code} {text}"
    );
    let lookup = home.run(&["lookup", "www.example.com"]);
    assert!(
        lookup.code == 3 && lookup.stdout.contains("no upstream configured"),
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
    let port = free_port().port();
    let listen = format!("127.0.0.1:{port},[::1]:{port}");
    for command in ["serve", "demo"] {
        let home = Home::new();
        let mut command = home.bnsd(&[command]);
        let mut daemon = Process::start(&home, {
            command.env("BNSD_LISTEN", &listen);
            command
        });
        let sockets = until("sockets", || {
            assert!(!daemon.has_ended(), "{}", daemon.stderr());
            Some(listening(daemon.id())).filter(|sockets| sockets.len() >= 2)
        });
        for socket in &sockets {
            assert!(
                socket.ip().is_loopback() && socket.port() == port,
                "{sockets:?}"
            );
        }
    }
    // These are what the test overrode: loopback too.
    let shown = Home::new().run(&["config", "show"]).stdout;
    assert!(shown.contains("127.0.0.1:53, [::1]:53"), "{shown}");
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
