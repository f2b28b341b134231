#!/usr/bin/env bash
# A machine with one network, apart from this one: own mounts, own network, own processes; all of it is gone when this
# ends. Called as `unshare --mount --net --pid --fork --mount-proc machine.sh SCENARIO BNSD PACKAGES [FILE]`: what to do, the
# program, the directory where systemd-resolved, openresolv and resolvconf are unpacked, and a file with more scenarios.
set -euo pipefail
. "$(dirname "$0")/../common/machine.sh"
scenario=$1 bnsd=$2 packages=$3
export PATH="/mnt/bin:$PATH:/usr/sbin:/sbin" LC_ALL=C BNSD_LOG=warn

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    tail -n 40 /mnt/*.log >&2 || true
    exit 1
}

# until_it COMMAND...: waits for success.
until_it() {
    for _ in $(seq 100); do
        ("$@") >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "waited in vain for: $*"
}

# ask SERVER NAME [TYPE]: the answers, in a line; nobody may take longer than a second.
ask() { dig +short +tries=1 +time=1 "@$1" "$2" "${3:-A}" 2>&1 | sort | tr '\n' ' '; }

# answers SERVER NAME TYPE TEXT
answers() {
    local got
    got=$(ask "$1" "$2" "$3")
    [[ $got == *"$4"* ]] || fail "$2 $3 at $1 is '$got', not '$4'"
}

# snapshot FILE: everything in /etc.
snapshot() { (cd /etc && find . ! -type d -printf '%p %y %m %U %G %l ' -exec sh -c '[ -L "$1" ] || md5sum <"$1"' sh {} \; -printf '\n' | sort) >"$1"; }

make_machine() {
    mount --make-rprivate /
    mount -t tmpfs tmpfs /mnt
    layer /mnt etc
    layer /mnt usr
    layer /mnt var
    mount -t tmpfs tmpfs /run
    umount /etc/resolv.conf /etc/hosts 2>/dev/null || true
    rm -rf /etc/resolv.conf /etc/bnsd /etc/systemd/resolved.conf* /etc/dnssec-trust-anchors.d
    mkdir -p /mnt/bin /etc/systemd /mnt/data
    ip link set lo up
    ip link add lan0 type veth peer name lan1
    ip address add 192.0.2.10/24 dev lan0
    ip link set lan0 up
    ip link set lan1 up
    others 192.0.2.10 "www.example.com. A 198.51.100.5" "www.icann.id. A 198.51.100.62" >/mnt/unbound.conf
    rm -rf /etc/resolvconf /etc/resolvconf.conf # what packages of the machine beside have there
    unbound -d -c /mnt/unbound.conf >/mnt/unbound.log 2>&1 &
    until_it answers 192.0.2.10 www.icann.id A 198.51.100.62
}

start_bnsd() {
    "$bnsd" serve --listen "$1" --data-dir /mnt/data --control-socket /mnt/control.sock >/mnt/bnsd.log 2>&1 &
    daemon=$!
    export BNSD_CONTROL_SOCKET=/mnt/control.sock
    until_it "$bnsd" status
}

stop_bnsd() {
    kill "$daemon"
    wait "$daemon" || true
}

start_resolved() {
    cp -r "$packages/systemd-resolved/etc/." /etc/
    grep -q '^systemd-resolve:' /etc/passwd || {
        echo 'systemd-resolve:x:991:991::/:/usr/sbin/nologin' >>/etc/passwd
        echo 'systemd-resolve:x:991:' >>/etc/group
    }
    mkdir -p /run/systemd/resolve /run/systemd/netif/links
    chown systemd-resolve: /run/systemd/resolve
    # What systemd-networkd says of the network (sd-network).
    printf 'ADMIN_STATE=configured\nOPER_STATE=routable\nDNS=192.0.2.10\n' >"/run/systemd/netif/links/$(ip -o link show lan0 | cut -d: -f1)"
    ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
    # There is no systemd here to do it.
    cat >/mnt/bin/systemctl <<END
#!/bin/sh
echo "systemctl \$*" >>/mnt/systemctl.log
case "\$*" in
*systemd-resolved*)
    [ -f /mnt/resolved.pid ] && kill "\$(cat /mnt/resolved.pid)" && sleep 0.3
    "$packages/systemd-resolved/lib/systemd/systemd-resolved" >>/mnt/resolved.log 2>&1 &
    echo \$! >/mnt/resolved.pid
    ;;
esac
END
    chmod +x /mnt/bin/systemctl
    systemctl try-restart systemd-resolved.service
    until_it answers 127.0.0.53 www.icann.id A 198.51.100.62
}

# Domains of the chain go to bnsd, through resolved; ICANN's `.id` and everybody else's names are found as before.
resolved() {
    start_resolved
    snapshot /mnt/before
    start_bnsd 127.0.0.1:53
    "$bnsd" system status && fail "it is installed already"
    "$bnsd" system install
    until_it answers 127.0.0.53 bns.alt SOA localhost.
    answers 127.0.0.53 www.icann.id A 198.51.100.62
    answers 127.0.0.1 www.icann.id A 198.51.100.62
    answers 127.0.0.53 www.example.com A 198.51.100.5
    "$bnsd" status | grep -q 'upstreams *192.0.2.10:53' || fail "$("$bnsd" status)"
    "$bnsd" system status | grep -q 'reaches bnsd *yes' || fail "$("$bnsd" system status)"
    stop_bnsd
    answers 127.0.0.53 www.example.com A 198.51.100.5
    "$bnsd" system uninstall
    until_it answers 127.0.0.53 www.icann.id A 198.51.100.62
    snapshot /mnt/after
    diff /mnt/before /mnt/after || fail "/etc is not as it was"
}

# A bnsd that is told to ask the stub, which sends `.id` back: said at once.
circle() {
    start_resolved
    mkdir -p /etc/systemd/resolved.conf.d
    printf '[Resolve]\nDNS=127.0.0.1\nDomains=~id\n' >/etc/systemd/resolved.conf.d/id.conf
    systemctl try-restart systemd-resolved.service
    BNSD_DNS_UPSTREAMS=127.0.0.53 start_bnsd 127.0.0.1:53
    until_it answers 127.0.0.1 www.example.com A 198.51.100.5
    for name in www.icann.id other.id; do
        dig +edns +tries=1 +time=1 @127.0.0.1 "$name" >/mnt/dig.log || fail "$name took longer than a second"
        grep -q 'status: SERVFAIL' /mnt/dig.log && grep -q 'back to bnsd' /mnt/dig.log || fail "$(cat /mnt/dig.log)"
    done
    "$bnsd" status | grep -q 'leads back to bnsd for id' || fail "$("$bnsd" status)"
    answers 127.0.0.1 www.example.com A 198.51.100.5
}

# resolvconf or openresolv: bnsd alone is asked, and asks whom the network named.
all_names() {
    mkdir -p /run/resolvconf
    printf 'nameserver 192.0.2.10\n' | resolvconf -a lan0
    grep -q 192.0.2.10 /etc/resolv.conf || fail "$(cat /etc/resolv.conf)"
    snapshot /mnt/before
    start_bnsd 127.0.0.1:53
    "$bnsd" system install && fail "some domains alone"
    "$bnsd" system install --all
    grep -qx 'nameserver 127.0.0.1' /etc/resolv.conf && grep -q trust-ad /etc/resolv.conf || fail "$(cat /etc/resolv.conf)"
    grep -q 192.0.2.10 /etc/resolv.conf && fail "$(cat /etc/resolv.conf)"
    "$bnsd" system status | grep -q 'reaches bnsd *yes' || fail "$("$bnsd" system status)"
    until_it answers 127.0.0.1 www.example.com A 198.51.100.5
    # What a change of the network leads to.
    printf 'nameserver 192.0.2.10\nsearch lan\n' | resolvconf -a lan0
    grep -qx 'nameserver 127.0.0.1' /etc/resolv.conf || fail "$(cat /etc/resolv.conf)"
    printf 'nameserver 192.0.2.10\n' | resolvconf -a lan0
    "$bnsd" system uninstall
    snapshot /mnt/after
    diff /mnt/before /mnt/after || fail "/etc is not as it was"
    grep -q 192.0.2.10 /etc/resolv.conf || fail "$(cat /etc/resolv.conf)"
}

openresolv() {
    cp -r "$packages/openresolv/sbin/." /usr/sbin/
    cp -r "$packages/openresolv/lib/." /usr/lib/
    cp -r "$packages/openresolv/etc/." /etc/
    all_names
}

resolvconf_of_debian() {
    cp -r "$packages/resolvconf/sbin/." /usr/sbin/
    cp -r "$packages/resolvconf/lib/." /usr/lib/
    cp -r "$packages/resolvconf/etc/." /etc/
    mkdir -p /run/resolvconf/interface
    touch /run/resolvconf/enable-updates
    ln -s /run/resolvconf/resolv.conf /etc/resolv.conf
    all_names
}

# The plain file.
plain() {
    printf 'nameserver 192.0.2.10\nsearch lan\n' >/etc/resolv.conf
    chmod 640 /etc/resolv.conf
    snapshot /mnt/before
    BNSD_DNS_UPSTREAMS=192.0.2.99 start_bnsd 127.0.0.1:53
    "$bnsd" system install --all 2>/mnt/refused.log && fail "all other names would be gone"
    stop_bnsd
    grep -q 'bnsd finds no names of others' /mnt/refused.log || fail "$(cat /mnt/refused.log)"
    grep -q 'upstreams are 192.0.2.99:53' /mnt/refused.log || fail "$(cat /mnt/refused.log)"
    snapshot /mnt/after
    diff /mnt/before /mnt/after || fail "/etc was changed"
    start_bnsd 127.0.0.1:53
    "$bnsd" system install --all
    until_it answers 127.0.0.1 www.example.com A 198.51.100.5
    [[ $(getent ahostsv4 www.example.com) == 198.51.100.5* ]] || fail "getent finds nothing"
    sleep 6 # the file is read again
    answers 127.0.0.1 www.icann.id A 198.51.100.62
    stop_bnsd
    "$bnsd" system install --all 2>/mnt/refused.log && fail "nobody answers"
    grep -q 'no bnsd is running' /mnt/refused.log || fail "$(cat /mnt/refused.log)"
    "$bnsd" system uninstall
    snapshot /mnt/after
    diff /mnt/before /mnt/after || fail "/etc is not as it was"
}

# Somebody else has port 53.
held() {
    printf 'nameserver 192.0.2.10\n' >/etc/resolv.conf
    "$bnsd" system install --all --control-socket /mnt/nobody 2>/mnt/refused.log && fail "nobody answers"
    grep -q 'port 53 is held by unbound (process' /mnt/refused.log || fail "$(cat /mnt/refused.log)"
}

# Scenarios of another file.
[ -z "${4:-}" ] || . "$4"
make_machine
"$scenario"
