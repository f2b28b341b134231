//! Programs that read keys from DNS records: they go by what the chain says, because bnsd says AD.

use super::machine::{ADDRESS, Machine, NAME, on_a_machine, until_open};
use super::site::{Keys, Shown, serve};
use crate::common::home::Ended;

/// Usage, selector, matching; the key that is pinned; what the server sends. 2 1 1 needs the authority in it.
const FORMS: [((u8, u8, u8), &str, &str); 5] = [
    ((3, 1, 1), "leaf.key", "leaf.pem"),
    ((3, 1, 1), "leaf.key", "chain.pem"),
    ((2, 1, 1), "authority.key", "chain.pem"),
    ((2, 1, 0), "authority.key", "chain.pem"),
    ((2, 1, 0), "authority.key", "leaf.pem"),
];
/// Port of the first form; those of servers with another key are 100 above.
const PORT: u16 = 4_430;

/// The records of all forms in the zone file, and a server for each with the right key and one with another.
fn scene(machine: &Machine, program: fn(&Machine, u16) -> Ended, forms: &[usize]) {
    let (own, other) = (
        Keys::make(machine, NAME, "own"),
        Keys::make(machine, NAME, "other"),
    );
    let (mut lines, mut sites) = (String::new(), Vec::new());
    for (at, ((usage, selector, matching), key, certificates)) in (0_u16..).zip(FORMS) {
        let data = own.pin(machine, key, matching);
        for (keys, port) in [(&own, PORT + at), (&other, PORT + 100 + at)] {
            lines += &format!("_{port}._tcp TLSA {usage} {selector} {matching} {data}\n");
            let [certificates, key] = [certificates, "leaf.key"].map(|file| keys.file(file));
            sites.push((port.to_string(), certificates, key));
        }
    }
    machine.publish(&lines);
    let sites = sites.iter().map(|(port, certificates, key)| Shown {
        listen: port,
        host: NAME,
        certificates: certificates.clone(),
        key: key.clone(),
    });
    let _nginx = serve(machine, None, &sites.collect::<Vec<_>>());
    for at in forms {
        let port = PORT + *at as u16;
        let accepted = program(machine, port);
        assert_eq!(accepted.code, 0, "{:?}: {accepted:?}", FORMS[*at]);
        let refused = program(machine, port + 100);
        assert_eq!(refused.code, 1, "{:?}: {refused:?}", FORMS[*at]);
    }
}

#[test]
fn openssl_accepts_the_key_that_the_name_names_and_no_other() {
    on_a_machine(|machine| scene(machine, openssl, &[0, 1, 2, 3, 4]));
}

/// What `tls init` makes is served as 2 1 1 and 2 1 0, and its server has the chain that these need.
#[test]
fn both_accept_what_tls_init_made() {
    on_a_machine(|machine| {
        let keys = Keys::make(machine, NAME, "own");
        keys.publish(machine);
        let _nginx = serve(machine, Some(&keys), &[]);
        for program in [openssl, danetool] {
            let accepted = program(machine, 443);
            assert_eq!(accepted.code, 0, "{accepted:?}");
        }
    });
}

/// `openssl s_client` takes TLSA records from its command line.
fn openssl(machine: &Machine, port: u16) -> Ended {
    let line = r#"
dig "_$1._tcp.$2" TLSA | grep -q '^;; flags:.* ad[ ;]'
mapfile -t records < <(dig +short "_$1._tcp.$2" TLSA)
openssl s_client -connect "$2:$1" -dane_tlsa_domain "$2" "${records[@]/#/-dane_tlsa_rrdata=}" -verify_return_error </dev/null
"#;
    machine.run(line, &[&port.to_string(), NAME])
}

/// `danetool` validates DNSSEC itself, unless it is told to believe the system's resolver. It needs the authority of a chain.
#[test]
fn danetool_accepts_the_key_that_the_name_names_and_no_other() {
    on_a_machine(|machine| scene(machine, danetool, &[0, 1, 2, 3]));
}

fn danetool(machine: &Machine, port: u16) -> Ended {
    let line = r#"danetool --check "$2" --port "$1" --local-dns --insecure </dev/null"#;
    machine.run(line, &[&port.to_string(), NAME])
}

#[test]
fn ssh_connects_without_a_question_because_of_our_ad() {
    on_a_machine(|machine| {
        let folder = machine.folder("ssh").display().to_string();
        let keys = r#"
cd "$1"
for key in host person; do ssh-keygen -q -t ed25519 -N '' -f $key; done
printf 'ListenAddress %s\nHostKey %s/host\nAuthorizedKeysFile %s/person.pub\nStrictModes no\nUsePAM no\nPidFile none\n' "$2" "$1" "$1" >sshd
ssh-keygen -r @ -f host.pub | sed 's/ IN / /'
"#;
        let records = machine.does(keys, &[&folder, ADDRESS]);
        assert!(records.contains("@ SSHFP 4 2 "), "{records}");
        machine.publish(&records);
        let _sshd = machine.start("/usr/sbin/sshd", &["-De", "-f", &format!("{folder}/sshd")]);
        until_open(ADDRESS, 22);
        let connect = r#"
cd "$1"
ssh -F none -o VerifyHostKeyDNS=yes -o BatchMode=yes -o UserKnownHostsFile=none -o GlobalKnownHostsFile=none -i person "root@$2" echo connected
"#;
        let connected = machine.run(connect, &[&folder, NAME]);
        assert_eq!(connected.stdout, "connected\n", "{connected:?}");
        say_no_ad(machine);
        let refused = machine.run(connect, &[&folder, NAME]);
        let why = "Host key verification failed";
        assert!(refused.stderr.contains(why), "{refused:?}");
    });
}

/// A server for mail that takes any and speaks TLS with what it is given: address, certificates, key.
const MAIL: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listener = socket.create_server((sys.argv[1], 25))
while True:
    peer, _ = listener.accept()
    try:
        peer.sendall(b"220 mail\r\n")
        lines = peer.makefile("rb")
        while line := lines.readline():
            command = line.split()[0].upper()
            replies = {b"EHLO": b"250-mail\r\n250 STARTTLS\r\n", b"QUIT": b"221 bye\r\n"}
            peer.sendall(replies.get(command, b"220 mail\r\n"))
            if command == b"STARTTLS":
                peer = context.wrap_socket(peer, server_side=True)
                lines = peer.makefile("rb")
    except OSError as error:
        print(error, flush=True)
"#;

#[test]
fn posttls_finger_verifies_a_mail_server_because_of_our_ad() {
    on_a_machine(|machine| {
        let (own, other) = (
            Keys::make(machine, NAME, "own"),
            Keys::make(machine, NAME, "other"),
        );
        let pin = own.pin(machine, "leaf.key", 1);
        machine.publish(&format!("@ MX 10 {NAME}.\n_25._tcp TLSA 3 1 1 {pin}"));
        let serve = |keys: &Keys| {
            let files = ["leaf.pem", "leaf.key"].map(|name| keys.file(name));
            let process = machine.start("python3", &["-c", MAIL, ADDRESS, &files[0], &files[1]]);
            until_open(ADDRESS, 25);
            process
        };
        let finger = || {
            let said = machine.run("posttls-finger -c -t 30 -l dane \"$1\" 2>&1", &[NAME]);
            said.stdout
        };
        // The package is only unpacked: it has no users of its own.
        let settings = "mkdir -p /etc/postfix\nprintf 'mail_owner = mail\nsetgid_group = tty\n' >/etc/postfix/main.cf";
        machine.does(settings, &[]);
        let server = serve(&own);
        let said = finger();
        assert!(said.contains("Verified TLS connection"), "{said}");
        drop(server);
        let server = serve(&other);
        let said = finger();
        assert!(said.contains("no matching DANE TLSA records"), "{said}");
        drop(server);
        say_no_ad(machine);
        let _server = serve(&own);
        let said = finger();
        assert!(said.contains("TLS connection established"), "{said}");
        assert!(!said.contains("Verified"), "{said}");
    });
}

/// The same daemon, which does not say any more that it has verified what it says.
fn say_no_ad(machine: &Machine) {
    let file = machine.world.path("bnsd.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("[dns]\n", "[dns]\nad-for-bns = false\n");
    std::fs::write(file, text).unwrap();
    let reloaded = machine.world.run(&["reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
}
