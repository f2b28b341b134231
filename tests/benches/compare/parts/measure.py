"""Driving one server with dnsperf, and what the kernel says about the server meanwhile."""

import os
import re
import statistics
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
# A server that uses less than this share of a core has come to rest.
AT_REST = 0.04


class Failure(Exception):
    """Something is missing or broken; the text says what to do."""


def stat(pid):
    """Seconds of CPU that a process and its ended children have used; None if it is gone.

    The scheduler's own count is exact to the nanosecond but forgets threads that have ended; utime and stime forget
    nothing and count in ticks. The larger one is the better one."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    own, children = (sum(map(int, fields[at : at + 2])) / TICKS for at in (11, 13))
    return max(own, scheduled(pid)) + children


def scheduled(pid):
    """Seconds that the living threads of a process have run; 0 where the kernel does not say."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
    except (OSError, IndexError):
        return 0
    return total / 1e9


def session_pids(session):
    """All processes of a session: a server with its workers."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and session_of(int(name)) == session]


def session_of(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return None


def cpu_seconds(session):
    """User and system time of a server, all processes and threads together."""
    return sum(stat(pid) or 0 for pid in session_pids(session))


def memory(session):
    """Resident memory of a server in MB: its own ("memory_mb"), and what it has of files ("file_mb"), which the kernel
    takes back when others need it. Pages that its processes share count once (Pss)."""
    own = files = 0
    for pid in session_pids(session):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                parts = {key: int(kb) for key, kb in re.findall(r"^(Pss\w*):\s+(\d+)", file.read(), re.M)}
        except OSError:
            continue
        own += parts.get("Pss_Anon", 0) + parts.get("Pss_Shmem", 0)
        files += parts.get("Pss_File", 0)
    return {"memory_mb": own * 1024 / 1e6, "file_mb": files * 1024 / 1e6}


def dnsperf(port, queries, mode, *options, cpus=None):
    """Runs dnsperf to its end; gives what it printed."""
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", queries, "-m", mode, *options]
    pin = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pin)
    if done.returncode:
        raise Failure(f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout[-300:]}")
    return done.stdout


def parse_totals(text):
    """Queries completed and lost, and queries per second."""

    def number(pattern):
        found = re.search(pattern, text)
        if not found:
            raise Failure(f"dnsperf printed no {pattern!r}: is it another version than 2.10 to 2.14?")
        return float(found[1])

    return {
        "completed": number(r"Queries completed:\s+(\d+)"),
        "lost": number(r"Queries lost:\s+(\d+)"),
        "qps": number(r"Queries per second:\s+([\d.]+)"),
        "noerror": sum(map(int, re.findall(r"NOERROR (\d+)", text))),
    }


def parse_latencies(text):
    """Seconds of every answered query that `dnsperf -v` printed."""
    return [float(value) for value in re.findall(r"^> [A-Z]+ \S+ \S+ ([\d.]+)$", text, re.M)]


def percentile(values, share):
    """The smallest value that at least `share` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)
    return ordered[rank] if ordered else None


def drive(server, port, queries, mode, load, options, cpus):
    """One round of throughput: queries per second, CPU per query in µs, lost queries."""
    settled(server.session)
    before = cpu_seconds(server.session)
    totals = parse_totals(dnsperf(port, queries, mode, *load, *options, cpus=cpus))
    used = cpu_seconds(server.session) - before
    completed = max(totals["completed"], 1)
    return {
        "qps": totals["qps"],
        "cpu_us": used / completed * 1e6,
        "lost": totals["lost"],
        "failed": totals["completed"] - totals["noerror"],
    }


def latency(port, queries, mode, rate, options, cpus):
    """Latency at a fixed rate that no server is near to be troubled by: p50 and p99 in µs."""
    text = dnsperf(port, queries, mode, "-v", "-c", "4", "-Q", str(rate), *options, cpus=cpus)
    values = parse_latencies(text)
    if not values:
        raise Failure("dnsperf -v printed no latencies: is it another version than 2.10 to 2.14?")
    return {"p50_us": percentile(values, 0.5) * 1e6, "p99_us": percentile(values, 0.99) * 1e6}


def settled(session, patience=10.0):
    """Waits until a server has little left to do from before (a start, for example), so that it is not counted."""
    end = time.monotonic() + patience
    last = cpu_seconds(session)
    while time.monotonic() < end:
        time.sleep(0.05)
        now = cpu_seconds(session)
        if now - last <= AT_REST * 0.05:
            return
        last = now


def drop_pages(directory):
    """Lets the kernel forget what it keeps in memory of the files in a directory."""
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())  # only what is on the disk is forgotten
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fetch_pages(directory):
    """Has the kernel keep the files in a directory in memory."""
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                while file.read(1 << 20):
                    pass


def median_of(rounds):
    """The median of every figure over the rounds that have it; lost and failed queries are summed."""
    keys = {key for one in rounds for key in one}
    result = {}
    for key in sorted(keys):
        values = [one[key] for one in rounds if one.get(key) is not None]
        result[key] = sum(values) if key in ("lost", "failed") else statistics.median(values) if values else None
    return result
