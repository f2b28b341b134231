//! The system's store and the agent that fills it, on mounts of their own: what OpenSSL, curl and Python believe then, and that
//! nothing of it stays.

use std::path::Path;
use std::process::Stdio;

use super::Scene;
use crate::common::MACHINE;
use crate::common::home::{Ended, Home, ended, is_one_sentence};
use crate::common::ports::free_address;

/// `/etc`, `/usr` and `/var` get a layer that is gone with the process; the arguments are a script and its arguments.
const APART: &str = r#"
mount --make-rprivate /
mkdir -p "$HOME/layers"
mount -t tmpfs tmpfs "$HOME/layers"
for tree in etc usr var; do layer "$HOME/layers" "$tree"; done
PATH=$PATH:/usr/sbin:/sbin
update-ca-certificates >/dev/null 2>&1 # as the store looks whenever it was made anew
exec bash -ec "$@"
"#;

/// Everything that a store is made of: names, modes, targets and bytes. The one of Java, which is made from it, dates its entries.
const TREE: &str = r#"
tree() {
    find /etc/ssl /etc/firefox /usr/local/share/ca-certificates /var/lib/bnsd-trust \
        -path /etc/ssl/certs/java -prune -o \( -type f -o -type l -o -type d \) \
        -printf '%p %m %l ' \( -type f -exec sha256sum {} \; -o -printf '\n' \) 2>/dev/null | sort
}
"#;

fn apart(home: &Home, script: &str, arguments: &[&str]) -> Ended {
    let script = format!("{TREE}{script}");
    let apart = format!("{MACHINE}{APART}");
    let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let words = ["timeout", "120", "sh", "-ec", &apart, "sh", &script, "sh"];
    let words = [&namespaces[..], &words, arguments].concat();
    ended(home.command("unshare", &words).stdin(Stdio::null()))
}

#[test]
fn openssl_curl_and_python_believe_the_name_and_nothing_stays() {
    const SCRIPT: &str = r#"
bnsd=$1 socket=$2 keys=$3 port=$4
tree >"$HOME/before"
"$bnsd" --control-socket "$socket" tls install-ca
openssl s_server -accept "$port" -cert "$keys/leaf.pem" -key "$keys/leaf.key" -www >/dev/null 2>"$HOME/server.log" &
server=$!
url="https://me.id:$port/"
curl="curl --silent --show-error --retry 20 --retry-connrefused --retry-delay 1 --resolve me.id:$port:127.0.0.1 --resolve other.id:$port:127.0.0.1"
python='import socket, ssl, sys
plain = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
ssl.create_default_context().wrap_socket(plain, server_hostname=sys.argv[2])'
! $curl "$url" 2>"$HOME/refused" || exit 11
grep -q 'unable to get local issuer certificate' "$HOME/refused"
"$bnsd" --control-socket "$socket" tls agent --system 2>"$HOME/agent.log" &
agent=$!
until grep -q 'follows bnsd' "$HOME/agent.log"; do kill -0 $agent; sleep 0.1; done
"$bnsd" --control-socket "$socket" lookup me.id >/dev/null
until ls /etc/ssl/certs/bnsd-authority-*.pem 2>/dev/null; do kill -0 $agent; sleep 0.1; done
hash=$(openssl x509 -in /etc/ssl/certs/bnsd-authority-*.pem -noout -subject_hash)
[ "$(readlink "/etc/ssl/certs/$hash.0")" = "$(cd /etc/ssl/certs && ls bnsd-authority-*.pem)" ] || exit 12
roothash=$(openssl x509 -in /etc/ssl/certs/bnsd-root.pem -noout -subject_hash)
[ "$(readlink "/etc/ssl/certs/$roothash.0")" = bnsd-root.pem ] || exit 13
$curl "$url" >/dev/null
openssl s_client -connect 127.0.0.1:$port -servername me.id -verify_return_error -verify_hostname me.id </dev/null >/dev/null 2>&1
python3 -c "$python" "$port" me.id
# For no other name, and no longer without the root.
! $curl "https://other.id:$port/" 2>/dev/null || exit 14
! python3 -c "$python" "$port" other.id 2>/dev/null || exit 15
openssl rehash /etc/ssl/certs 2>/dev/null
$curl "$url" >/dev/null
kill $agent
"$bnsd" --control-socket "$socket" tls uninstall-ca
! $curl "$url" 2>/dev/null || exit 16
kill $server
tree >"$HOME/after"
diff "$HOME/before" "$HOME/after"
"#;
    let scene = Scene::new();
    let keys = scene.make_keys("me.id").display().to_string();
    scene.register("me.id");
    let socket = scene.world.path("data/control.sock").display().to_string();
    let port = free_address().port().to_string();
    let program = env!("CARGO_BIN_EXE_bnsd");
    let ended = apart(&scene.home, SCRIPT, &[program, &socket, &keys, &port]);
    let log =
        |name: &str| std::fs::read_to_string(scene.home.path().join(name)).unwrap_or_default();
    assert_eq!(
        ended.code,
        0,
        "{ended:?}\n{}\n{}",
        log("agent.log"),
        log("server.log")
    );
}

#[test]
fn policies_that_are_there_keep_what_they_say() {
    const SCRIPT: &str = r#"
bnsd=$1 root=$2
mkdir -p /etc/firefox/policies
printf '{ "policies": {"DisableTelemetry": true, "Certificates": {"Install": ["/a.pem"]}} }' >/etc/firefox/policies/policies.json
tree >"$HOME/before"
"$bnsd" tls install-ca --ca "$root" --dry-run >/dev/null
tree | diff "$HOME/before" -
"$bnsd" tls install-ca --ca "$root" >/dev/null
python3 -c 'import json
policies = json.load(open("/etc/firefox/policies/policies.json"))["policies"]
assert policies == {"DisableTelemetry": True, "Certificates": {"Install": ["/a.pem", "/usr/local/share/ca-certificates/bnsd-root.crt"]}}, policies'
grep -q "$(sed -n 2p "$root")" /etc/ssl/certs/ca-certificates.crt
"$bnsd" tls install-ca --ca "$root" >/dev/null
"$bnsd" tls uninstall-ca
tree | diff "$HOME/before" -
printf '[]' >/etc/firefox/policies/policies.json
! "$bnsd" tls install-ca --ca "$root" 2>"$HOME/refused" || exit 11
grep -q 'is no JSON object' "$HOME/refused"
"#;
    let scene = Scene::new();
    let root = scene.root();
    let program = env!("CARGO_BIN_EXE_bnsd");
    let ended = apart(&scene.home, SCRIPT, &[program, &root]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_certificate_of_somebody_else_is_not_installed() {
    let home = Home::new();
    let make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=other -out \"$HOME/other.pem\"";
    assert_eq!(ended(&mut home.command("sh", &["-ec", make])).code, 0);
    let other = home.path().join("other.pem");
    let tree = home.folder("tree");
    for words in [&["--user"][..], &["--root", tree.to_str().unwrap()]] {
        let install = ["tls", "install-ca", "--ca", other.to_str().unwrap()];
        let refused = home.run(&[&install, words].concat());
        is_one_sentence(&refused, 1, &["is no authority of bnsd"]);
    }
    assert!(!Path::new(&home.path().join(".pki")).exists());
}
