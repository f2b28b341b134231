"""What is served and asked: the generated names in the form of each server, and dnsperf's query files."""

import os
import random

TTL = 300
# Domain and count of the forwarded names.
DOMAIN = "example.com"
SOA = "@ {ttl} SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n@ {ttl} NS ns.invalid.\n"


def read_table(path):
    """Rows of (name, A, AAAA) that `compare fill` wrote."""
    with open(path) as table:
        return [line.rstrip("\n").split("\t") for line in table]


def mail_and_text(name):
    """What a generated zone file holds beside the addresses of its name."""
    return (
        f"{name}. {TTL} MX 10 mail.{name}.",
        f'{name}. {TTL} TXT "v=spf1 mx -all"',
        f"www.{name}. {TTL} CNAME {name}.",
    )


def export(rows, directory):
    """Writes `id.zone` (NSD), `unbound.local` and `hosts` (dnsmasq) into `directory`."""
    with (
        open(os.path.join(directory, "id.zone"), "w") as zone,
        open(os.path.join(directory, "unbound.local"), "w") as local,
        open(os.path.join(directory, "hosts"), "w") as hosts,
    ):
        zone.write("$ORIGIN id.\n" + SOA.format(ttl=TTL))
        local.write('local-zone: "id." static\n')
        for name, v4, v6 in rows:
            records = [f"{name}. {TTL} A {v4}", f"{name}. {TTL} AAAA {v6}", f"mail.{name}. {TTL} A {v4}"]
            for record in [*records, *mail_and_text(name)]:
                zone.write(record + "\n")
                quote = "'" if '"' in record else '"'
                local.write(f"local-data: {quote}{record}{quote}\n")
            hosts.write(f"{v4} {name}\n{v6} {name}\n{v4} mail.{name}\n")


def forwarded(count, directory):
    """The zone of the upstream; returns its rows and writes their table for the bare hickory-server."""
    rows = [
        (f"host{n:05}.{DOMAIN}", f"198.19.{n >> 8 & 255}.{n & 255}", f"2001:db8:1::{n:x}") for n in range(count)
    ]
    with open(os.path.join(directory, f"{DOMAIN}.zone"), "w") as zone:
        zone.write(f"$ORIGIN {DOMAIN}.\n" + SOA.format(ttl=3600))
        zone.writelines(f"{name}. 3600 A {v4}\n{name}. 3600 AAAA {v6}\n" for name, v4, v6 in rows)
    return rows


def write_queries(path, names, rtype):
    """A query file of dnsperf."""
    with open(path, "w") as queries:
        queries.writelines(f"{name} {rtype}\n" for name in names)


def choose(rows, count, seed):
    """`count` names in an order that is the same in every run, spread over all rows."""
    chosen = random.Random(seed).sample(range(len(rows)), min(count, len(rows)))
    return [rows[n][0] for n in chosen]
