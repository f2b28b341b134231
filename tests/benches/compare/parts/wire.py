"""Just enough DNS to ask one question and compare answer sections. Python's standard library only."""

import socket
import ssl
import struct
import time

TYPES = {"A": 1, "AAAA": 28}
# Seconds by which a cache may have counted down a TTL before it counts as another one.
TTL_SLACK = 60


def query(name, rtype, number=0x4242):
    """The bytes of a question with RD set and no EDNS, as dnsperf sends it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, TYPES[rtype], 1)


def skip_name(message, at):
    """The name that begins at `at`, followed through pointers, and where the next field begins."""
    labels, end, jumps = [], None, 0
    while True:
        length = message[at]
        if length >= 0xC0:
            end = end if end is not None else at + 2
            at = struct.unpack_from("!H", message, at)[0] & 0x3FFF
            jumps += 1
            if jumps > 20:
                raise ValueError("a name that bites its tail")
        elif length == 0:
            return ".".join(labels).lower(), at + 1 if end is None else end
        else:
            labels.append(message[at + 1 : at + 1 + length].decode("latin-1"))
            at += 1 + length


def answers(message):
    """Response code and the records of the answer section: (name, type, class, ttl, data), sorted."""
    flags, questions, count = struct.unpack_from("!3H", message, 2)
    at = 12
    for _ in range(questions):
        at = skip_name(message, at)[1] + 4
    records = []
    for _ in range(count):
        name, at = skip_name(message, at)
        rtype, rclass, ttl, length = struct.unpack_from("!HHIH", message, at)
        at += 10
        records.append((name, rtype, rclass, ttl, message[at : at + length]))
        at += length
    return flags & 15, sorted(records)


def same(one, other):
    """Whether two answer sections say the same; TTLs may differ by what a cache counts down."""
    if one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    for a, b in zip(one[1], other[1]):
        if a[:3] != b[:3] or a[4] != b[4] or abs(a[3] - b[3]) > TTL_SLACK:
            return False
    return True


def ask(port, name, rtype, mode="udp", patience=2.0):
    """The bytes of a server's answer; OSError (a timeout is one) if none comes."""
    packet = query(name, rtype)
    if mode == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(patience)
            client.connect(("127.0.0.1", port))
            client.send(packet)
            return client.recv(4096)
    with socket.create_connection(("127.0.0.1", port), patience) as plain:
        if mode == "tcp":
            return ask_stream(plain, packet)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(plain) as client:
            return ask_stream(client, packet)


def ask_stream(client, packet):
    client.sendall(struct.pack("!H", len(packet)) + packet)
    length = struct.unpack("!H", receive(client, 2))[0]
    return receive(client, length)


def receive(client, length):
    data = b""
    while len(data) < length:
        part = client.recv(length - len(data))
        if not part:
            raise OSError("the connection was closed")
        data += part
    return data


def first_answer(port, name, rtype, started, patience=120.0):
    """Milliseconds from `started` to the first answer that has records; None if none came."""
    packet = query(name, rtype)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.002)
        client.connect(("127.0.0.1", port))
        while time.monotonic() - started < patience:
            try:
                client.send(packet)
                if answers(client.recv(4096))[1]:
                    return (time.monotonic() - started) * 1000
            except TimeoutError:
                pass
            except OSError:  # nobody listens yet
                time.sleep(0.001)
    return None
