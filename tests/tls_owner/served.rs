//! Web servers with the lines that `bnsd tls init` wrote, and programs that check it by DANE.

use std::path::PathBuf;

use super::Owner;
use crate::common::home::ended;

/// Serves chain and leaf alone, and asks for both; a line for each case, with the exit code of who asked.
const SCRIPT: &str = r#"
set -u
keys=$1 scratch=$2 bnsd=$3 nginx=$4 haproxy=$5 caddy=$6
ip link set lo up
mount --make-rprivate /
mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/nginx
mount -t tmpfs tmpfs /var/log && mkdir /var/log/nginx
sed -e 's/chain\.pem/leaf.pem/' -e 's/:443/:8443/' -e 's/listen 443/listen 8443/' "$keys/nginx.conf" >"$scratch/leaf.conf"
cat >"$scratch/nginx.conf" <<END
pid $scratch/nginx.pid;
events {}
http { access_log off; include $keys/nginx.conf; include $scratch/leaf.conf; }
END
"$nginx" -e "$scratch/nginx.log" -c "$scratch/nginx.conf" || exit
public() { openssl x509 -in "$keys/$1" -noout -pubkey | openssl pkey -pubin -outform DER; }
digest() { public "$1" | openssl sha256 -r | cut -d' ' -f1; }
whole() { public "$1" | od -An -v -tx1 | tr -d ' \n'; }
asks() { # PORT HOST RECORD...
    local port=$1 host=$2 records=() record
    shift 2
    for record; do records+=(-dane_tlsa_rrdata "$record"); done
    openssl s_client -connect "127.0.0.1:$port" -servername "$host" -dane_tlsa_domain "$host" "${records[@]}" \
        -verify_return_error -no-CAfile -no-CApath </dev/null >"$scratch/said" 2>&1
    local code=$?
    grep -q '^Verification: OK' "$scratch/said" || code=refused
    echo "$code"
}
other=$(printf other | openssl sha256 -r | cut -d' ' -f1)
echo "chain, 2 1 1: $(asks 443 me.id "2 1 1 $(digest authority.pem)")"
echo "chain, 2 1 0: $(asks 443 me.id "2 1 0 $(whole authority.pem)")"
echo "chain, 3 1 1: $(asks 443 me.id "3 1 1 $(digest leaf.pem)")"
echo "chain, www: $(asks 443 www.me.id "2 1 1 $(digest authority.pem)")"
echo "chain, another 2 1 1: $(asks 443 me.id "2 1 1 $other")"
echo "chain, another 3 1 1: $(asks 443 me.id "3 1 1 $other")"
echo "chain, another name: $(asks 443 you.id "2 1 1 $(digest authority.pem)")"
echo "leaf, 2 1 1: $(asks 8443 me.id "2 1 1 $(digest authority.pem)")"
echo "leaf, both: $(asks 8443 me.id "2 1 1 $(digest authority.pem)" "2 1 0 $(whole authority.pem)")"
echo "leaf, 3 1 1: $(asks 8443 me.id "3 1 1 $(digest leaf.pem)")"
before=$(digest leaf.pem)
ends() { while kill -0 "$1" 2>/dev/null; do sleep 0.05; done; }
master=$(cat "$scratch/nginx.pid")
read -r worker _ <"/proc/$master/task/$master/children"
"$bnsd" tls issue --dir "$keys" --new-key >/dev/null && "$nginx" -s reload -e "$scratch/nginx.log" -c "$scratch/nginx.conf"
ends "$worker" # it takes connections beside the new one until then
echo "renewed, 3 1 1: $(asks 443 me.id "3 1 1 $(digest leaf.pem)")"
echo "renewed, 3 1 1 of the leaf before: $(asks 443 me.id "3 1 1 $before")"
echo "renewed, 2 1 1: $(asks 443 me.id "2 1 1 $(digest authority.pem)")"
curl --silent --output "$scratch/page" --cacert "$keys/authority.pem" --resolve me.id:443:127.0.0.1 https://me.id/
echo "curl: $?"
kill "$master"
ends "$master"
"$haproxy" -c -f "$keys/haproxy.cfg" >"$scratch/haproxy.log" 2>&1
echo "haproxy -c: $?"
"$haproxy" -D -p "$scratch/haproxy.pid" -f "$keys/haproxy.cfg" >>"$scratch/haproxy.log" 2>&1
echo "haproxy, 2 1 1: $(asks 443 me.id "2 1 1 $(digest authority.pem)")"
pid=$(cat "$scratch/haproxy.pid")
kill "$pid"
ends "$pid"
"$caddy" start --adapter caddyfile --config "$keys/Caddyfile" >"$scratch/caddy.log" 2>&1
echo "caddy: $?"
echo "caddy, 2 1 1: $(asks 443 me.id "2 1 1 $(digest authority.pem)")"
"$caddy" stop >>"$scratch/caddy.log" 2>&1
"#;

const EXPECTED: &str = "\
chain, 2 1 1: 0
chain, 2 1 0: 0
chain, 3 1 1: 0
chain, www: 0
chain, another 2 1 1: refused
chain, another 3 1 1: refused
chain, another name: refused
leaf, 2 1 1: refused
leaf, both: 0
leaf, 3 1 1: 0
renewed, 3 1 1: 0
renewed, 3 1 1 of the leaf before: refused
renewed, 2 1 1: 0
curl: 0
haproxy -c: 0
haproxy, 2 1 1: 0
caddy: 0
caddy, 2 1 1: 0
";

/// A server's program, installed or only unpacked by `tests/run`.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Some(packages) = std::env::var_os("TEST_PACKAGES") {
        let unpacked = PathBuf::from(packages).join(name);
        folders.extend(["usr/sbin", "usr/bin"].map(|folder| unpacked.join(folder)));
    }
    let found = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not there: run tests/run, or install the Debian package {name}")
    })
}

#[test]
fn servers_serve_what_the_pins_promise() {
    let owner = Owner::new();
    let scratch = owner.home.folder("scratch");
    let keys = owner.path("");
    let [nginx, haproxy, caddy] = ["nginx", "haproxy", "caddy"].map(program);
    let mut command = owner.home.command(
        "unshare",
        &[
            "--net",
            "--mount",
            "--fork",
            "--kill-child",
            "bash",
            "-c",
            SCRIPT,
            "bash",
        ],
    );
    command.arg(keys.trim_end_matches('/')).arg(&scratch);
    command.arg(env!("CARGO_BIN_EXE_bnsd"));
    let run = ended(command.args([nginx, haproxy, caddy]));
    let logs = ["nginx.log", "haproxy.log", "caddy.log"];
    let logs = logs.map(|name| std::fs::read_to_string(scratch.join(name)).unwrap_or_default());
    assert_eq!(run.stdout, EXPECTED, "{run:?} {logs:#?}");
}
