# The network of a machine that was booted: on the other end of a cable, in a network namespace, are a DHCP server and a
# DNS server with everybody else's names. NetworkManager does what it does with every cable.
set -euo pipefail

ip netns add outside
ip link add lan0 type veth peer name lan1 netns outside
ip -n outside address add 192.0.2.1/24 dev lan1
ip -n outside link set lan1 up
ip -n outside link set lo up

others 192.0.2.1 "www.example.com. A 198.51.100.5" "www.icann.id. A 198.51.100.62" >/run/outside.conf
outside() {
    systemd-run --quiet --collect --unit "outside-$1" --property NetworkNamespacePath=/run/netns/outside "${@:2}"
}
outside dns unbound -d -c /run/outside.conf
outside dhcp dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=lan1 --bind-interfaces \
    --dhcp-range=192.0.2.50,192.0.2.90 --dhcp-option=option:dns-server,192.0.2.1 --dhcp-leasefile=/run/outside.leases

nmcli --wait 0 device set lan0 managed yes
nmcli connection add type ethernet ifname lan0 con-name cable ipv6.method disabled >/dev/null
nmcli --wait 20 connection up cable >/dev/null
