"""Checks proofs of names, written from the format alone (the head of src/virtualchain/proof/mod.rs, and ch 1 to 3).

Reads lines of JSON with a proof and what it should show. Accepts each, and refuses it with one bit changed, another bit
in each. Prints how many it accepted and refused.
"""

import hashlib
import json
import sys


def d(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def h160(data):
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


class Input:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "it ends too early"
        self.at += count
        return self.data[self.at - count:self.at]

    def u32(self):
        return int.from_bytes(self.take(4), "little")

    def cs(self):
        first = self.take(1)[0]
        size, least = {0xfd: (2, 0xfd), 0xfe: (4, 1 << 16), 0xff: (8, 1 << 32)}.get(first, (0, 0))
        value = int.from_bytes(self.take(size), "little") if size else first
        assert value >= least, "a number is longer than it has to be"
        return value


def previous(height, first):
    """The heights that are folded into the consensus hash of one."""
    step = 1
    while height - step >= first:
        yield height - step
        step = 2 * step + 1


def fold(leaves):
    row = [leaf[::-1] for leaf in sorted(leaves, key=bytes.hex)]
    while len(row) > 1:
        row = [d(row[i] + row[min(i + 1, len(row) - 1)]) for i in range(0, len(row), 2)]
    return row[0][::-1]


def descend(data, first, known, stepped, target):
    while True:
        height = min(h for h in known if h >= target)
        if height not in stepped:
            ops = data.take(32)
            for older in previous(height, first):
                if older not in known:
                    known[older] = data.take(16)
            folded = h160(fold([ops] + [known[h] for h in previous(height, first)]))[:16]
            assert folded == known[height], "a consensus hash does not follow"
            stepped[height] = ops
        if height == target:
            return stepped[height]


def sides(index, count):
    """For each row: whether the other node is left, right, or the same one."""
    while count > 1:
        yield "left" if index % 2 else "right" if index + 1 < count else "same"
        index, count = index // 2, (count + 1) // 2


def leaves(data, ops_hash):
    count, entries, ways, texts = data.cs(), data.cs(), [], []
    assert 0 < entries <= 4, "the number of entries"
    for _ in range(entries):
        index = data.cs()
        assert index < count <= 1 << 17 and (not ways or index > ways[-1]), "the order of entries"
        text = data.take(data.cs())
        node = d(text)[::-1]
        for side in sides(index, count):
            other = node if side == "same" else data.take(32)
            assert side == "same" or other != node, "a node is written twice"
            node = d(other + node if side == "left" else node + other)
        assert node[::-1] == ops_hash, "an operation is not in its block"
        ways.append(index)
        texts.append(text.decode())
    shorter = all(i < count - 1 and list(sides(i, count)) == list(sides(i, count - 1)) for i in ways)
    assert not shorter, "the row is longer than it has to be"
    return texts


def netstrings(text):
    fields, rest = [], text[1:]
    while rest:
        length, rest = rest[1:].split(":", 1)
        fields.append(rest[:int(length)])
        rest = rest[int(length):]
    return text[0], fields


def check(data, case):
    data = Input(data)
    assert data.take(7) == b"bnsprf\x01", "the beginning"
    assert data.take(2).hex() == case["magic"] and data.take(4).hex() == case["network"], "the chain"
    assert data.u32() == case["first"], "the first block"
    height = data.u32()
    targets = [data.u32() for _ in range(data.cs())]
    assert targets == sorted(set(targets), reverse=True), "the targets"
    assert targets and height >= targets[0] and targets[-1] >= case["first"], "the targets"
    known, stepped = {height: bytes.fromhex(case["consensus_hash"])}, {}
    roots = [descend(data, case["first"], known, stepped, target) for target in targets]
    operations = [(target, netstrings(text)) for target, root in zip(targets, roots) for text in leaves(data, root)]
    zonefile = data.take(data.cs())
    assert data.at == len(data.data), "it goes on too long"
    [(ready_at, ready)] = [(at, fields) for at, (opcode, fields) in operations if opcode == "!"]
    [(name_at, name)] = [(at, fields) for at, (opcode, fields) in operations if opcode in ":;+>~"]
    assert name[0].split(".")[-1] == ready[0] and int(ready[19]) == ready_at, "the namespace"
    assert not zonefile or h160(zonefile).hex() == name[1], "the zone file"
    term = int(ready[13]) * case["multiplier"] + case["grace"]
    last = max(int(ready[19]) + term - 1, int(name[8]) + term)
    return {"name": name[0], "zonefile_hash": name[1], "owner": name[4], "txid": name[11], "height": height,
            "operation_height": name_at, "last_resolves": last}


def main():
    accepted = refused = 0
    for number, line in enumerate(sys.stdin):
        case = json.loads(line)
        proof = bytes.fromhex(case["proof"])
        shown = check(proof, case)
        assert shown == case["shown"], (shown, case["shown"])
        accepted += 1
        bit = number * 7919 % (8 * len(proof))
        damaged = bytearray(proof)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            check(bytes(damaged), case)
            raise SystemExit(f"proof {number} with bit {bit} changed is accepted")
        except (AssertionError, ValueError):
            refused += 1
    print(accepted, refused)


main()
