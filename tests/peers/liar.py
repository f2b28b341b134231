"""A Bitcoin peer in regtest that lies, or one in signet that names others.

Arguments: the lie, our address and port, a file with a block or the addresses to name. Prints that it listens, and the lie whenever it is told.
"""

import hashlib
import socket
import socketserver
import struct
import sys
import time

LIE, ADDRESS, PORT, MORE = sys.argv[1:]
REGTEST, MAIN, SIGNET = (bytes.fromhex(magic) for magic in ("fabfb5da", "f9beb4d9", "0a03cf40"))
MAGIC = {"another-network": MAIN, "names-others": SIGNET}.get(LIE, REGTEST)
SERVICES = {"no-blocks": 0, "pruned": 1024}.get(LIE, 1)
HEIGHT = 1_000_000  # whoever claims most is asked first
block = open(MORE, "rb").read() if LIE != "names-others" else b""


def tell():
    print(LIE, flush=True)


def frame(command, payload=b"", length=None, checksum=None):
    if checksum is None:
        checksum = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    if length is None:
        length = len(payload)
    return MAGIC + command.encode().ljust(12, b"\0") + struct.pack("<I", length) + checksum + payload


def version():
    nowhere = bytes(26)
    agent = b"\x06/liar/"
    return (
        struct.pack("<IQq", 70016, SERVICES, int(time.time()))
        + nowhere
        + nowhere
        + struct.pack("<Q", 7)
        + agent
        + struct.pack("<IB", HEIGHT, 0)
    )


def header_on(previous, number):
    """A header of regtest with real work."""
    for nonce in range(1 << 20):
        root = hashlib.sha256(struct.pack("<I", number)).digest()
        header = struct.pack("<I", 4) + previous + root
        header += struct.pack("<III", int(time.time()), 0x207FFFFF, nonce)
        digest = hashlib.sha256(hashlib.sha256(header).digest()).digest()
        if digest[31] < 0x7F:
            return header, digest


def addresses(list):
    """A message that names peers with all blocks at the usual port of signet."""
    row = struct.pack("<IQ", int(time.time()), 9) + bytes(10) + b"\xff\xff"
    port = struct.pack(">H", 38333)
    return bytes([len(list)]) + b"".join(row + socket.inet_aton(one) + port for one in list)


def headers(list):
    return b"\xfd" + struct.pack("<H", len(list)) + b"".join(header + b"\0" for header in list)


class Peer(socketserver.BaseRequestHandler):
    def send(self, *frame_of):
        self.request.sendall(frame(*frame_of))

    def read(self, length):
        data = b""
        while len(data) < length:
            part = self.request.recv(length - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def message(self):
        head = self.read(24)
        payload = self.read(struct.unpack("<I", head[16:20])[0])
        return head[4:16].rstrip(b"\0").decode(), payload

    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.lie()
        except OSError:
            pass  # callers hang up on liars

    def lie(self):
        if LIE == "mute":
            tell()
            time.sleep(300)
        if LIE == "garbage":
            tell()
            self.request.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
            time.sleep(300)
        if LIE == "echo":
            tell()
            while True:
                self.request.sendall(self.request.recv(65536))
        if LIE == "early":
            tell()
            self.send("headers", b"\0")
        self.message()
        self.send("version", version())
        if LIE in ("no-blocks", "another-network", "names-others"):
            tell()
        self.send("verack")
        while True:
            command, payload = self.message()
            if command == "ping":
                self.send("pong", payload)
            if command == "verack":
                self.greeted()
            if command == "getaddr" and LIE == "names-others":
                self.send("addr", addresses(MORE.split(",")))
            if command == "getheaders":
                self.asked_for_headers(payload)
            if command == "getdata":
                self.asked_for_block(payload)

    def greeted(self):
        if LIE == "oversize":
            tell()
            self.send("headers", b"", 4_000_001)
        if LIE == "checksum":
            tell()
            self.send("inv", b"\0", None, b"none")
        if LIE == "unasked-block":
            tell()
            self.send("block", block)
        if LIE == "flood":
            tell()
            while True:
                self.send("nonsense", bytes(50_000))
        if LIE == "slow":
            tell()
            for byte in frame("headers", headers([])):
                self.request.sendall(bytes([byte]))
                time.sleep(1)

    def asked_for_headers(self, payload):
        if LIE in ("silent", "slow"):
            tell()
            return
        genesis = payload[-64:-32]
        if LIE == "endless-headers":
            # A run from the genesis block that never overtakes: the same heights anew each time.
            tell()
            while True:
                header, digest = header_on(genesis, time.time_ns() & 0xFFFFFFFF)
                run = [header]
                for number in range(29):
                    header, digest = header_on(digest, number)
                    run.append(header)
                self.send("headers", headers(run))
        if LIE == "unlinked-headers":
            tell()
            self.send("headers", headers([header_on(bytes(32), 1)[0]]))
            return
        if LIE == "wrong-work":
            tell()
            header, _ = header_on(genesis, 1)
            self.send("headers", headers([header[:72] + b"\xff\xff\x00\x1d" + header[76:]]))
            return
        self.send("headers", b"\0")

    def asked_for_block(self, payload):
        tell()
        if LIE == "wrong-block":
            self.send("block", block)
        if LIE == "changed-block":
            # What was asked for is this block: its header is right, its last transaction is not.
            self.send("block", block[:-5] + bytes([block[-5] ^ 1]) + block[-4:])
        if LIE == "refuses":
            self.send("notfound", payload)
        if LIE == "hangs-up":
            self.request.close()
            raise OSError


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


server = Server((ADDRESS, int(PORT)), Peer)
print("listens", flush=True)
server.serve_forever()
