"""Asks a server for everything that zone files say and compares, with dnspython on both sides.

    compare_zones.py ADDRESS PORT FOLDER

Every RRset of every NAME.zone, and the HTTPS record of each host with a TLSA record for its port 443, must come back
exactly, over UDP (again over TCP where TC says so) and over TCP, with
its TTL capped at 600 s. For every other type that any of the files uses, the owner must have no data, with the SOA.
Prints the number of compared RRsets; exits with 1 if anything differs.
"""

import pathlib
import re
import sys

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.zone

MAX_TTL = 600
PATIENCE = 20
# Made by the server where a zone file lacks them.
SYNTHESISED = {dns.rdatatype.SOA, dns.rdatatype.NS}


def read(path):
    """The zone of a file. Zone files of names often lack the dot behind their $ORIGIN."""
    text = re.sub(r"(?m)^(\$ORIGIN\s+\S*[^.\s])\s*$", r"\1.", path.read_text())
    origin = path.name.removesuffix(".zone") + "."
    return dns.zone.from_text(text, origin=origin, check_origin=False, relativize=False)


def https_of(zone, owner, node):
    """The record that leads browsers to https, if a key is bound to the host and it has no such record of its own."""
    tlsa = zone.get(dns.name.from_text("_443._tcp", origin=owner))
    is_bound = tlsa is not None and tlsa.get_rdataset(dns.rdataclass.IN, dns.rdatatype.TLSA)
    places = (dns.rdatatype.A, dns.rdatatype.AAAA)
    place = [found for rdtype in places if (found := node.get_rdataset(dns.rdataclass.IN, rdtype))]
    if not is_bound or not place or node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.HTTPS):
        return []
    return [dns.rdataset.from_text("IN", "HTTPS", place[0].ttl, '1 . alpn="h2"')]


def over_udp(query, server):
    response, _ = dns.query.udp_with_fallback(query, server[0], port=server[1], timeout=PATIENCE)
    return response


def over_tcp(query, server):
    return dns.query.tcp(query, server[0], port=server[1], timeout=PATIENCE)


def difference(rdataset, owner, response):
    """What of an RRset does not come back as the file has it."""
    if response.rcode() != dns.rcode.NOERROR:
        return f"rcode {dns.rcode.to_text(response.rcode())}"
    if not response.flags & dns.flags.AA:
        return "not authoritative"
    if len(response.answer) != 1:
        return f"{len(response.answer)} RRsets"
    found = response.answer[0]
    if found.name != owner or found.rdtype != rdataset.rdtype:
        return f"another RRset: {found}"
    if set(found) != set(rdataset) or len(found) != len(rdataset):
        return f"other data: {found}"
    if found.ttl != min(rdataset.ttl, MAX_TTL):
        return f"TTL {found.ttl}"
    return None


def surplus(response):
    """What an answer without data lacks, or has too much."""
    if response.rcode() != dns.rcode.NOERROR or response.answer:
        return f"rcode {dns.rcode.to_text(response.rcode())}, answers {response.answer}"
    if [rrset.rdtype for rrset in response.authority] != [dns.rdatatype.SOA]:
        return "no SOA"
    return None


class Comparison:
    def __init__(self, server):
        self.server = server
        self.compared = self.absent = 0
        self.failures = []

    def ask(self, owner, rdtype, judge):
        query = dns.message.make_query(owner, rdtype, use_edns=0, payload=1232)
        for transport in (over_udp, over_tcp):
            try:
                problem = judge(transport(query, self.server))
            except Exception as error:  # a wrong answer must not hide the next one
                problem = repr(error)
            if problem:
                rdtype_text = dns.rdatatype.to_text(rdtype)
                self.failures.append(f"{owner} {rdtype_text} {transport.__name__}: {problem}")

    def zone(self, zone, rdtypes):
        for owner, node in zone.nodes.items():
            rdatasets = [*node, *https_of(zone, owner, node)]
            for rdataset in rdatasets:
                self.ask(owner, rdataset.rdtype, lambda r: difference(rdataset, owner, r))
                self.compared += 1
            present = {rdataset.rdtype for rdataset in rdatasets}
            if dns.rdatatype.CNAME in present:
                continue  # every other type leads to the target
            expected = SYNTHESISED if owner == zone.origin else set()
            for rdtype in sorted(rdtypes - present - expected):
                self.ask(owner, rdtype, surplus)
                self.absent += 1


def main(address, port, folder):
    zones = [read(path) for path in sorted(pathlib.Path(folder).glob("*.zone"))]
    rdtypes = {rdataset.rdtype for zone in zones for node in zone.values() for rdataset in node}
    rdtypes -= {dns.rdatatype.CNAME, dns.rdatatype.DNAME}
    comparison = Comparison((address, int(port)))
    for zone in zones:
        comparison.zone(zone, rdtypes)
    for failure in comparison.failures:
        print(failure, file=sys.stderr)
    print(f"zones {len(zones)}")
    print(f"rrsets {comparison.compared}")
    print(f"absent {comparison.absent}")
    return 1 if comparison.failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
