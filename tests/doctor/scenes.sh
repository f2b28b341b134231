# Scenes of `bnsd doctor` on a machine of its own (tests/system/machine.sh): each breaks something, runs the command that the
# doctor prints, and looks whether the finding is gone.

unset "${!BNSD_@}" # those of the tests
export HOME=/mnt/home BNSD_DATA_DIR=/mnt/data BNSD_LOG=warn
as=
doctor() { $as bnsd doctor --json >/mnt/doctor.log || true; }

# is_found CHECK STATE TEXT: the doctor says so; its command is in /mnt/command.
is_found() {
    doctor
    python3 - "$@" >/mnt/command <<'END' || fail "no $2 of $1 says '$3': $(cat /mnt/doctor.log)"
import json, sys
check, state, text = sys.argv[1:]
findings = json.load(open("/mnt/doctor.log"))["findings"]
found = [f for f in findings if (f["check"], f["state"]) == (check, state) and text in f["text"]]
print(found[0]["command"] or "")
END
}

# is_well CHECK: it has findings, and all are ok.
is_well() {
    doctor
    python3 - "$1" <<'END'
import json, sys
findings = json.load(open("/mnt/doctor.log"))["findings"]
states = [f["state"] for f in findings if f["check"] == sys.argv[1]]
sys.exit(set(states) != {"ok"})
END
}

# treat CHECK STATE TEXT: finds it and runs the command.
treat() {
    is_found "$@"
    [ -s /mnt/command ] && grep -q . /mnt/command || fail "no command for $1: $(cat /mnt/doctor.log)"
    sh -ec "$(cat /mnt/command)" >/mnt/treat.log 2>&1 || fail "$(cat /mnt/command /mnt/treat.log)"
}

# mends CHECK STATE TEXT: and then it is gone.
mends() {
    treat "$@"
    until_it is_well "$1"
}

prepare() {
    mkdir -p "$HOME"
    ln -sf "$bnsd" /mnt/bin/bnsd
}

# What systemd-resolved sends to bnsd, and what becomes of it on the way.
doctor_route() {
    prepare
    start_resolved
    start_bnsd 127.0.0.1:53
    mends route warning 'nothing sends this machine'
    until_it is_well system
    rm /etc/systemd/resolved.conf.d/bnsd.conf
    mends route failure 'is not as it was installed'
    until_it is_well system
    # Resolved runs with other files than those that are there.
    mv /etc/systemd/resolved.conf.d/bnsd.conf /mnt/kept
    systemctl try-restart systemd-resolved.service
    until_it answers 127.0.0.53 www.example.com A 198.51.100.5
    mv /mnt/kept /etc/systemd/resolved.conf.d/bnsd.conf
    mends system failure 'does not ask bnsd'
    sed -i 's/^hosts:.*/hosts: files/' /etc/nsswitch.conf
    mends system failure 'without DNS'
    # A namespace that came after the installation.
    stop_bnsd
    BNSD_NAMESPACES=brandnew=only start_bnsd 127.0.0.1:53
    bnsd status | grep -q 'does not send questions for brandnew' || fail "$(bnsd status)"
    bnsd status --json | grep -q '"unrouted"' || fail "$(bnsd status --json)"
    mends namespaces warning brandnew
    bnsd status | grep -q brandnew && fail "$(bnsd status)"
    until_it is_well system
    # A validating stub that knows of no exception.
    printf '[Resolve]\nDNSSEC=yes\n' >/etc/systemd/resolved.conf.d/dnssec.conf
    rm /etc/dnssec-trust-anchors.d/bnsd.negative
    systemctl try-restart systemd-resolved.service
    until_it is_found validation failure 'negative trust anchors'
    mends validation failure 'negative trust anchors'
    until_it is_well system
    # What was verified comes back without AD, and then the C library hides it.
    mends ad warning 'does not pass on'
    sed -i '/^options/d' /etc/resolv.conf
    mends ad warning 'trust-ad'
    # bnsd moves.
    stop_bnsd
    start_bnsd 127.0.0.2:53
    mends route failure 'listens elsewhere'
    bnsd system uninstall
}

# An unbound that validates and sends bnsd's domains on.
doctor_unbound() {
    prepare
    rm -rf /etc/unbound && mkdir -p /etc/unbound/unbound.conf.d
    cat >/etc/unbound/unbound.conf <<'END'
server:
 interface: 127.0.0.1@53
 chroot: ""
 username: ""
 pidfile: ""
 use-syslog: no
 do-ip6: no
 do-not-query-localhost: no
 trust-anchor: ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
forward-zone:
 name: "."
 forward-addr: 192.0.2.10
forward-zone:
 name: "alt"
 forward-addr: 127.0.0.1@5300
include: "/etc/unbound/unbound.conf.d/*.conf"
END
    unbound -d -c /etc/unbound/unbound.conf >/mnt/stub.log 2>&1 &
    printf 'nameserver 127.0.0.1\n' >/etc/resolv.conf
    BNSD_DNS_UPSTREAMS=192.0.2.10 start_bnsd 127.0.0.1:5300
    mends validation failure 'negative trust anchors for bns.alt'
}

# Port 53, the process, and whom bnsd asks.
doctor_daemon() {
    prepare
    printf 'nameserver 192.0.2.10\n' >/etc/resolv.conf
    sed 's/192.0.2.10@53/127.0.0.1@53/' /mnt/unbound.conf >/mnt/other.conf
    unbound -d -c /mnt/other.conf >/mnt/other.log 2>&1 &
    until_it answers 127.0.0.1 www.example.com A 198.51.100.5
    is_found daemon failure 'no bnsd is running'
    start=$(cat /mnt/command)
    mends port failure 'is held by unbound (process'
    python3 -m http.server --bind 127.0.0.1 6270 >/mnt/page.log 2>&1 &
    until_it is_found api warning 'is held by python3'
    mends api warning 'or set `api.listen`'
    sh -c "$start" >/mnt/started.log 2>&1 &
    until_it is_well daemon
    until_it is_well port
    until_it is_well upstreams
    # Another user learns that it is for root to look, and no more.
    as='setpriv --reuid=65534 --regid=65534 --clear-groups'
    is_found daemon unknown 'belongs to another user'
    grep -qx 'sudo bnsd doctor' /mnt/command || fail "$(cat /mnt/command)"
    grep -qE '"check": ?"(port|api|permissions)"' /mnt/doctor.log && fail "$(cat /mnt/doctor.log)"
    as=
    # One that is held up is there all the same.
    kill -STOP "$(cat /mnt/data/lock)"
    until_it is_found daemon failure 'did not reply' # its threads do not all stop at once
    grep -qE '"check": ?"(port|api)"' /mnt/doctor.log && fail "$(cat /mnt/doctor.log)"
    kill -CONT "$(cat /mnt/data/lock)"
    until_it is_well daemon
    echo 'nameserver 192.0.2.99' >/etc/resolv.conf
    is_found system failure 'does not answer'
    # Nobody is known, until somebody is named.
    echo '# nobody' >/etc/resolv.conf
    until_it is_found upstreams failure 'no upstream is known'
    ip address add 9.9.9.9/32 dev lan0
    sed 's/192.0.2.10@53/9.9.9.9@53/' /mnt/unbound.conf >/mnt/far.conf
    unbound -d -c /mnt/far.conf >/mnt/far.log 2>&1 &
    until_it answers 9.9.9.9 www.example.com A 198.51.100.5
    mends upstreams failure 'no upstream is known'
    kill "$(cat /mnt/data/lock)"
    # Those that were configured are silent, those of the network are not.
    echo 'nameserver 192.0.2.10' >/etc/resolv.conf
    flock --timeout 10 /mnt/data/lock true
    is_found port ok 'nobody'
    BNSD_DNS_UPSTREAMS=192.0.2.99 start_bnsd 127.0.0.1:53
    treat upstreams failure 'no upstream answers'
    is_found upstreams warning 'until the portal is closed'
    answers 127.0.0.1 www.example.com A 198.51.100.5
}

# An upstream that sends `.id` back.
doctor_circle() {
    prepare
    start_resolved
    mkdir -p /etc/systemd/resolved.conf.d
    printf '[Resolve]\nDNS=127.0.0.1\nDomains=~id\n' >/etc/systemd/resolved.conf.d/id.conf
    systemctl try-restart systemd-resolved.service
    mkdir /mnt/config # a directory that others use too would be out of reach for a daemon that runs
    printf '[dns]\nupstreams = ["127.0.0.53"]\n' >/mnt/config/bnsd.toml
    export BNSD_CONFIG=/mnt/config/bnsd.toml
    start_bnsd 127.0.0.1:53
    until_it answers 127.0.0.1 www.example.com A 198.51.100.5
    mends upstreams failure 'leads back to bnsd for id'
    answers 127.0.0.1 www.icann.id A 198.51.100.62
}

# Disk, rights and configuration.
doctor_files() {
    prepare
    printf 'nameserver 192.0.2.10\n' >/etc/resolv.conf
    mkdir /mnt/small
    mount -t tmpfs -o size=150m tmpfs /mnt/small
    mkdir -p /mnt/small/archives/partial /mnt/small/data
    mount --bind /mnt/small/archives /var/cache/apt/archives
    export BNSD_DATA_DIR=/mnt/small/data
    mount -o remount,ro /mnt/small
    mends disk failure 'is read-only'
    head -c 120M /dev/zero >/mnt/small/archives/large.deb
    mends disk failure 'less than a block may need'
    printf '[chain]\nsource = "none"\nfrob = 1\n' >/mnt/bnsd.toml
    export BNSD_CONFIG=/mnt/bnsd.toml
    mends config failure 'unknown key'
    printf 'listen = ["nowhere"]\n' >/mnt/bnsd.toml
    mends config failure 'listen'
    printf '[zonefiles]\nfolders = ["/mnt/none yet"]\n' >/mnt/bnsd.toml
    mends config failure '/mnt/none yet'
    printf 'secret\n' >/mnt/password
    printf '[chain]\nrpc-user = "me"\nrpc-password-file = "/mnt/password"\n' >/mnt/bnsd.toml
    chmod 644 /mnt/password
    mends config failure 'others can read'
    rm /mnt/bnsd.toml
    mends config failure 'there is no configuration file'
    unset BNSD_CONFIG
    start_bnsd 127.0.0.1:53
    chmod 755 /mnt/data
    mends permissions failure 'others have rights'
    chown 12345 /mnt/data
    mends permissions failure 'belongs to user 12345'
}

# A clock that is behind the chain.
doctor_clock() {
    prepare
    printf 'nameserver 192.0.2.10\n' >/etc/resolv.conf
    cat >/mnt/slow.c <<'END'
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME && access("/mnt/slow", F_OK) == 0)
        time->tv_sec -= 30000000;
    return result;
}
END
    cc -shared -fPIC -o /mnt/slow.so /mnt/slow.c
    printf '#!/bin/sh\n[ "$*" = "set-ntp true" ] && rm /mnt/slow\n' >/mnt/bin/timedatectl
    chmod +x /mnt/bin/timedatectl
    BNSD_CHAIN_SOURCE=dev start_bnsd 127.0.0.1:53
    bnsd tx mine
    until_it is_well clock
    touch /mnt/slow
    export LD_PRELOAD=/mnt/slow.so
    mends clock failure 'behind'
    unset LD_PRELOAD
}

# Browsers that ask somebody else.
doctor_browsers() {
    prepare
    printf 'nameserver 192.0.2.10\n' >/etc/resolv.conf
    profile="$HOME/.mozilla/firefox/a b.default"
    mkdir -p "$profile" "$HOME/.config/chromium"
    printf 'user_pref("network.trr.mode", 3);\n' >"$profile/prefs.js"
    mends browser warning 'network.trr.mode is 3'
    grep -qx 'user_pref("network.trr.mode", 5);' "$profile/user.js" || fail "$(cat "$profile/user.js")"
    rm "$profile/user.js"
    printf 'user_pref("doh-rollout.mode", 2);\n' >"$profile/prefs.js"
    mends browser warning 'doh-rollout.mode is 2'
    printf '{"dns_over_https": {"mode": "automatic", "templates": ""}}' >"$HOME/.config/chromium/Local State"
    until_it is_well browser
    printf '{"dns_over_https": {"mode": "secure", "templates": "https://dns.example/q"}}' >"$HOME/.config/chromium/Local State"
    rm -rf /etc/chromium
    mends browser warning 'dns_over_https.mode'
}

# No chain source, and then a node that is not there.
doctor_chain() {
    prepare
    printf 'nameserver 192.0.2.10\n' >/etc/resolv.conf
    printf '# mine\n' >/mnt/bnsd.toml
    export BNSD_CONFIG=/mnt/bnsd.toml
    start_bnsd 127.0.0.1:53
    treat sync warning 'no chain source is configured'
    wait "$daemon" || true
    start_bnsd 127.0.0.1:53
    printf '[chain]\nsource = "none"\n' >/mnt/bnsd.toml
    until_it is_found config warning 'needs a restart: chain.source'
    treat config warning 'needs a restart'
    wait "$daemon" || true
    printf '[chain]\nsource = "bitcoind"\n' >/mnt/bnsd.toml
    start_bnsd 127.0.0.1:53
    is_well config || fail "$(cat /mnt/doctor.log)"
    printf 'sandbox = false\n' | cat - /mnt/bnsd.toml >/mnt/open.toml
    stop_bnsd
    BNSD_CONFIG=/mnt/open.toml start_bnsd 127.0.0.1:53
    treat sandbox warning 'sandbox = false'
    wait "$daemon" || true
    BNSD_CONFIG=/mnt/open.toml start_bnsd 127.0.0.1:53
    is_well sandbox || fail "$(cat /mnt/doctor.log)"
    is_found sync warning 'the first synchronisation has not finished'
    is_found node failure 'Bitcoin Core at 127.0.0.1:8332'
    grep -q 'bitcoind -daemonwait -datadir=/mnt/home/.bitcoin' /mnt/command || fail "$(cat /mnt/command)"
}
