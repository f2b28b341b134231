"""Asks a server for every URI and TXT record of a folder of historical zone files, with dnspython on both sides.

    real_zones.py ADDRESS PORT FOLDER

Each NAME.zone is read by dnspython; each of its URI and TXT RRsets inside the name's own zone must come back exactly. What
is unusual about a file is listed with what happens to it, and the count of each kind. Exits with 1 if an answer differs.
"""

import collections
import pathlib
import re
import sys

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone
import dns.zonefile

PATIENCE = 20
WANTED = (dns.rdatatype.URI, dns.rdatatype.TXT)


def read(path):
    """The RRsets of a file. Historical files lack the dot behind their $ORIGIN, and mostly an SOA."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    dotted = re.sub(r"(?m)^(\$ORIGIN\s+[^\s]*[^.\s])(?=\s|$)", r"\1.", text)
    origin = dns.name.from_text(path.name.removesuffix(".zone") + ".")
    zone = dns.zone.from_text(dotted, origin=origin, check_origin=False, relativize=False)
    return origin, list(zone.iterate_rdatasets())


def ask(server, owner, rdtype):
    query = dns.message.make_query(owner, rdtype)
    query.use_edns(0, payload=1232)
    response, _ = dns.query.udp_with_fallback(query, server[0], port=server[1], timeout=PATIENCE)
    return response


def described(response):
    errors = [option.to_text() for option in response.options]
    return " ".join([dns.rcode.to_text(response.rcode()), f"{len(response.answer)} RRsets", *errors])


def difference(rdataset, owner, response):
    if response.rcode() != dns.rcode.NOERROR or len(response.answer) != 1:
        return described(response)
    found = response.answer[0]
    if found.name != owner or found.rdtype != rdataset.rdtype:
        return f"another RRset: {found}"
    if set(found) != set(rdataset) or len(found) != len(rdataset):
        return f"other data: {found}, in the file: {rdataset}"
    return None


def main(address, port, folder):
    server = (address, int(port))
    compared, wrong = 0, []
    unusual = collections.defaultdict(list)
    for path in sorted(pathlib.Path(folder).glob("*.zone")):
        apex = dns.name.from_text(path.name.removesuffix(".zone") + ".")
        try:
            origin, rdatasets = read(path)
        except Exception as error:  # whatever dnspython cannot read
            kind = f"dnspython cannot read it ({type(error).__name__}: {error})"[:100]
            unusual[kind].append(f"{path.name}: bnsd says {described(ask(server, apex, 'TXT'))}")
            continue
        shape = sorted(f"{len(r)} {dns.rdatatype.to_text(r.rdtype)}" for _, r in rdatasets)
        if shape != ["1 URI"]:
            unusual[f"not one URI but {', '.join(shape)}"].append(f"{path.name}: compared like the others")
        if not rdatasets:
            answer = described(ask(server, apex, "TXT"))
            unusual["no records"].append(f"{path.name}: bnsd says {answer}")
        for owner, rdataset in rdatasets:
            if not owner.is_subdomain(origin):
                unusual["a record outside of the name"].append(f"{path.name}: {owner} is ignored")
            elif rdataset.rdtype in WANTED:
                compared += 1
                problem = difference(rdataset, owner, ask(server, owner, rdataset.rdtype))
                if problem:
                    rdtype = dns.rdatatype.to_text(rdataset.rdtype)
                    wrong.append(f"{path.name}: {owner} {rdtype}: {problem}")
            else:
                kind = f"a record of type {dns.rdatatype.to_text(rdataset.rdtype)}"
                answer = described(ask(server, owner, rdataset.rdtype))
                unusual[kind].append(f"{path.name}: bnsd says {answer}")
    print(f"{compared} RRsets of type URI and TXT compared")
    for kind, cases in sorted(unusual.items()):
        print(f"unusual: {kind}: {len(cases)}")
        for case in cases:
            print(f"    {case}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong or not compared else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
