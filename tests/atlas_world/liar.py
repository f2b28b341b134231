"""A peer of Atlas that says of itself what an honest one says, and then lies.

Arguments: the lie, our address, the honest peer's address. Prints the lie whenever it is told.
"""

import base64
import json
import socketserver
import sys
import time
import urllib.request
import xmlrpc.client

LIE, ADDRESS, HONEST = sys.argv[1:]
PORT = 6264


def ask_honest(body):
    request = urllib.request.Request(
        f"http://{HONEST}:{PORT}/RPC2", body, {"Content-Type": "text/xml"}
    )
    with urllib.request.urlopen(request, timeout=5) as reply:
        return reply.read()


def envelope(**keys):
    return {"status": True, "indexing": False, "lastblock": 1, **keys}


def tell():
    print(LIE, flush=True)


def answer(method, parameters, body):
    """The reply's JSON, or the honest peer's whole reply."""
    if method == "get_zonefile_inventory" and LIE == "endless-inventory":
        tell()
        return envelope(inv=base64.b64encode(b"\xff" * 4_000_000).decode())
    if method == "get_zonefile_inventory":
        return envelope(inv=base64.b64encode(b"\xff" * min(parameters[1], 1000)).decode())
    if method == "get_zonefiles" and LIE == "wrong-bytes":
        tell()
        wrong = base64.b64encode(b"$ORIGIN n1.id\n$TTL 600\n@ A 203.0.113.66\n").decode()
        return envelope(zonefiles={hash: wrong for hash in parameters[0]})
    if method == "put_zonefiles":
        return envelope(saved=[1] * len(parameters[0]))
    return ask_honest(body)


class Peer(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().startswith(b"POST"):
            length = 0
            while (line := self.rfile.readline().strip()):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            body = self.rfile.read(length)
            parameters, method = xmlrpc.client.loads(body)
            if method == "get_zonefiles" and LIE == "slow-read":
                return self.drip()
            reply = answer(method, parameters, body)
            if not isinstance(reply, bytes):
                text = (json.dumps(reply),)
                reply = xmlrpc.client.dumps(text, methodresponse=True).encode()
            self.send(len(reply))
            self.wfile.write(reply)

    def send(self, length):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n"
        self.wfile.write(head.encode())

    def drip(self):
        """A byte now and then."""
        tell()
        self.send(100_000)
        for _ in range(600):
            self.wfile.write(b"<")
            self.wfile.flush()
            time.sleep(0.2)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # callers hang up on liars


Server((ADDRESS, PORT), Peer).serve_forever()
