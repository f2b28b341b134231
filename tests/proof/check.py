"""Checks proofs of names, written from the format alone (the head of src/virtualchain/proof/mod.rs, and ch §1 to §3).

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


def sides(index, count):
    while count > 1:
        yield "left" if index % 2 else "right" if index + 1 < count else "same"
        index, count = index // 2, (count + 1) // 2


def climb(data, leaf, index, count, lowest):
    """The root above a leaf; the node beside it has so many bytes."""
    node = leaf[::-1]
    assert index < count, "the place in the row"
    for row, side in enumerate(sides(index, count)):
        other = node if side == "same" else data.take(32 if row else lowest)
        assert side == "same" or other != node, "a node is written twice"
        node = d(other + node if side == "left" else node + other)
    return node[::-1]


def entries(data):
    count, places, texts, roots = data.cs(), [], [], set()
    for _ in range(data.cs()):
        index = data.cs()
        assert not places or index > places[-1], "the order of entries"
        text = data.take(data.cs())
        assert len(text) > 64, "a text is as short as two nodes"
        roots.add(climb(data, d(text), index, count, 32))
        places.append(index)
        texts.append(text.decode())
    shorter = [i < count - 1 and list(sides(i, count)) == list(sides(i, count - 1)) for i in places]
    assert len(roots) == 1 and not all(shorter), "the operations are not in one row, or it is too long"
    return texts, roots.pop()


def fold(data, part, height, first):
    """The consensus hash of a height that a part of it leads to: its ops hash, or an earlier consensus hash."""
    (beside, index), count = divmod(data.take(1)[0], 128), 1 + len(list(previous(height, first)))
    assert not beside or len(part) == 16 and next(sides(index, count), "same") != "same", "what is beside"
    return h160(climb(data, part, index, count, 32 if beside else 16))[:16]


def ascend(data, first, known, height, ops_hash):
    hashed, passed = fold(data, ops_hash, height, first), {}
    while height not in known:
        passed[height] = hashed
        below, height = height, height + 2 ** data.take(1)[0] - 1
        assert below < height <= max(known), "a way leads too high"
        hashed = fold(data, hashed, height, first)
    assert known[height] == hashed, "a consensus hash does not follow"
    known.update(passed)


def netstrings(text):
    fields, rest = [], text[1:]
    while rest:
        length, rest = rest[1:].split(":", 1)
        fields.append(rest[:int(length)])
        rest = rest[int(length):]
    return text[0], fields


def check(data, case):
    data = Input(data)
    assert data.take(7) == b"bnsprf\x02", "the beginning"
    assert data.take(2).hex() == case["magic"] and data.take(4).hex() == case["network"], "the chain"
    assert data.u32() == case["first"], "the first block"
    height = data.u32()
    known, operations = {height: bytes.fromhex(case["consensus_hash"])}, []
    for _ in range(data.cs()):
        target, (texts, root) = data.u32(), entries(data)
        assert case["first"] <= target <= height and all(target < above for above, _ in operations), "the targets"
        ascend(data, case["first"], known, target, root)
        operations += [(target, netstrings(text)) for text in texts]
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
