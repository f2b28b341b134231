"""Measures what a flood and slow clients cost good ones. Called by `flood`; standard library only."""

import multiprocessing
import os
import random
import socket
import statistics
import struct
import sys
import time

RUNS = 5
SECONDS = 3
PACED = 2000  # good queries a second


def query(number):
    name = b"\x06werner\x02id\0"
    return struct.pack(">6H", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + name + b"\0\1\0\1"


def flood(port, rate, stop):
    packets = [os.urandom(40) for _ in range(1000)]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("127.0.0.1", port))
    start, sent = time.monotonic(), 0
    while not stop.is_set():
        if sent > (time.monotonic() - start) * rate:
            time.sleep(0.0005)
            continue
        for packet in random.sample(packets, 100):
            try:
                sender.send(packet)
            except OSError:
                pass
        sent += 100
    print(f"    garbage sent: {sent / (time.monotonic() - start):,.0f}/s", flush=True)


def good(port):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    sent_at, times, number = {}, [], 0
    start = time.monotonic()
    while (now := time.monotonic()) < start + SECONDS + 0.5:
        if now < start + SECONDS and number < (now - start) * PACED:
            sent_at[number & 0xFFFF] = now
            client.send(query(number))
            number += 1
        try:
            answer = client.recv(512)
        except BlockingIOError:
            continue
        sent = sent_at.pop(struct.unpack(">H", answer[:2])[0], None)
        if sent is not None:
            times.append(time.monotonic() - sent)
    times.sort()
    lost = 100 * (number - len(times)) / number
    return lost, 1000 * times[len(times) * 99 // 100] if times else float("inf")


def beside_flood(port, rate):
    stop = multiprocessing.Event()
    process = multiprocessing.Process(target=flood, args=(port, rate, stop))
    process.start()
    time.sleep(0.3)
    try:
        return good(port)
    finally:
        stop.set()
        process.join()


def beside_slow(port):
    slow = []
    for _ in range(1000):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        try:
            connection.send(b"\0")
        except OSError:
            pass
        slow.append(connection)
    start = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            message = query(7)
            client.sendall(struct.pack(">H", len(message)) + message)
            answered = len(client.recv(512)) > 2
    except OSError:
        answered = False
    taken = 1000 * (time.monotonic() - start)
    for connection in slow:
        connection.close()
    return taken if answered else float("inf")


def wait_for(port):
    for _ in range(300):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        try:
            client.send(query(1))
            if client.recv(512)[6:8] != b"\0\0":
                return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"flood: nobody answers on port {port}")


def main():
    rate = int(sys.argv[1])
    servers = [argument.split("=") for argument in sys.argv[2:]]
    for _, port in servers:
        wait_for(int(port))
    results = {name: ([], [], []) for name, _ in servers}
    for run in range(RUNS):
        for name, port in servers:
            lost, p99 = beside_flood(int(port), rate)
            slow = beside_slow(int(port))
            print(f"run {run + 1} {name}: {lost:.2f} % lost, p99 {p99:.2f} ms, TCP {slow:.1f} ms", flush=True)
            for figures, figure in zip(results[name], (lost, p99, slow)):
                figures.append(figure)
    for name, figures in results.items():
        lost, p99, slow = map(statistics.median, figures)
        print(f"median {name}: {lost:.2f} % lost, p99 {p99:.2f} ms, TCP beside 1,000 slow {slow:.1f} ms")


if __name__ == "__main__":
    main()
