"""Starting and stopping the servers. Every one runs in a session of its own, on a loopback port of its own,
with the committed configuration from `configs/` in which only paths, ports and the number of workers are filled
in. Whatever is started here is stopped here, by its session."""

import os
import shutil
import signal
import subprocess
import time

from . import measure, wire

CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")
# What a class asks, and over which transport.
CLASSES = {
    "bns": ("BNS answer", "udp"),
    "forward": ("cached forward", "udp"),
    "cold": ("cold BNS answer", "udp"),
    "dropped": ("cold BNS answer, page cache dropped", "udp"),
    "second": ("second type of a known name", "udp"),
    "tcp": ("TCP", "tcp"),
    "dot": ("DoT", "dot"),
}
PACKAGES = {"dnsperf": "dnsperf", "nsd": "nsd", "unbound": "unbound", "dnsmasq": "dnsmasq-base", "openssl": "openssl"}


def find(program):
    """The path of an installed program; a Failure that names its package if it is missing."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        package = PACKAGES[program]
        raise measure.Failure(f"{program} is missing: install the Debian package {package} (apt-get install {package})")
    return path


class Server:
    """One server. `classes` are those that it takes part in; the others are "not offered", with the reason."""

    def __init__(self, name, port, command, classes, why_not=""):
        self.name, self.port, self.command = name, port, command
        self.tls_port = port + 1
        self.classes = set(classes)
        self.reasons = {key: why_not for key in CLASSES if key not in self.classes}
        self.process = None
        self.cpus = None
        self.log = None

    def refuse(self, key, reason):
        """Takes a class away."""
        self.classes.discard(key)
        self.reasons[key] = reason

    def start(self, probe):
        """Starts the server; milliseconds until the probe (name, type) has an answer with records."""
        log = open(self.log, "ab")
        started = time.monotonic()
        pin = (lambda: os.sched_setaffinity(0, self.cpus)) if self.cpus else None
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=pin
        )
        log.close()
        first = wire.first_answer(self.port, *probe, started)
        if first is None or self.process.poll() is not None:
            with open(self.log, errors="replace") as file:
                tail = file.read()[-600:]
            self.stop()
            raise measure.Failure(f"{self.name} gave no answer to {probe[0]} {probe[1]}; its log {self.log} ends: {tail}")
        return first

    @property
    def session(self):
        return self.process.pid

    def stop(self):
        """Ends the server with all its processes."""
        if self.process is None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in measure.session_pids(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process = None

    def pause(self):
        """Stops all processes without ending them."""
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def signal(self, number):
        for pid in measure.session_pids(self.process.pid):
            os.kill(pid, number)


def fill_in(template, target, values):
    """Writes a committed configuration with its @PLACEHOLDERS@ replaced."""
    with open(os.path.join(CONFIGS, template)) as file:
        text = file.read()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    with open(target, "w") as file:
        file.write(text)
    return target


def certificate(directory):
    """A certificate for DoT; the same for everybody."""
    command = [find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", f"{directory}/tls.key", "-out", f"{directory}/tls.crt", "-days", "30", "-subj", "/CN=localhost"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise measure.Failure(f"openssl could not make a certificate: {done.stderr}")


def bnsd(binary, values, port, upstream):
    """bnsd, with DoT if this build knows the settings of `bnsd-tls.toml`."""
    values = {**values, "PORT": port, "TLSPORT": port + 1, "UPSTREAM": upstream}
    config = f"{values['RUN']}/bnsd-{port}.toml"
    fill_in("bnsd.toml", config, values)
    server = Server("bnsd", port, [binary, "--config", config, "serve"], CLASSES)
    with_tls = f"{values['RUN']}/bnsd-{port}-tls.toml"
    fill_in("bnsd-tls.toml", with_tls, values)
    with open(with_tls) as added, open(config) as base:
        text = base.read() + "\n" + added.read()
    with open(with_tls, "w") as file:
        file.write(text)
    checked = subprocess.run([binary, "--config", with_tls, "serve", "--check-config"], capture_output=True, text=True)
    if checked.returncode == 0:
        server.command[2] = with_tls
    else:
        server.refuse("dot", "this build has no DoT: " + (checked.stderr.strip().splitlines() or ["?"])[-1])
    return server


def peers(compare, values, first_port, upstream, tables):
    """The other servers, ready to be started."""
    run = values["RUN"]

    def configured(template, port):
        filled = {**values, "PORT": port, "TLSPORT": port + 1, "UPSTREAM": upstream}
        return fill_in(template, f"{run}/{template}", filled)

    nsd, unbound, dnsmasq, hickory, echo = range(first_port, first_port + 50, 10)
    everything = set(CLASSES)
    workers = str(values["WORKERS"])
    return [
        Server("nsd", nsd, [find("nsd"), "-d", "-c", configured("nsd.conf", nsd)], everything - {"forward"}, "it forwards nothing"),
        Server("unbound", unbound, [find("unbound"), "-d", "-c", configured("unbound.conf", unbound)], everything),
        Server(
            "dnsmasq", dnsmasq, [find("dnsmasq"), "-k", "-C", configured("dnsmasq.conf", dnsmasq)],
            everything - {"dot"}, "it has no DoT",
        ),
        Server(
            "hickory", hickory, [compare, "hickory", f"127.0.0.1:{hickory}", workers, *tables],
            everything - {"forward", "dot"}, "the bare server answers from memory only, and is built without TLS",
        ),
        Server("echo", echo, [compare, "echo", f"127.0.0.1:{echo}", workers], {"bns", "cold", "dropped", "second"}, "UDP only"),
    ]


def upstream(values, port):
    """The upstream of those who forward."""
    config = fill_in("upstream.conf", f"{values['RUN']}/upstream.conf", {**values, "PORT": port})
    return Server("upstream", port, [find("nsd"), "-d", "-c", config], [])
