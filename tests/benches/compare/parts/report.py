"""What the comparison found: a table, a picture, and which goals were met."""

from .servers import CLASSES

NAMES = ("bnsd", "nsd", "unbound", "dnsmasq", "hickory", "echo")
FIGURES = (("qps", "queries/s"), ("cpu_us", "CPU µs/query"), ("p50_us", "p50 µs"), ("p99_us", "p99 µs"))
COLOURS = {"bnsd": "#d9480f"}
OTHERS = "#868e96"


def figure(value, digits=1):
    """A number for a table; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or digits == 0 else f"{value:.{digits}f}"


def ratio(ours, theirs):
    """bnsd's figure over a peer's."""
    return f"{ours / theirs:.2f}" if ours and theirs else "-"


def class_rows(result):
    """Lines of (class, server, figures..., memory, memory of files, ratio of CPU and of queries/s, remark)."""
    for key, (title, _) in CLASSES.items():
        cells = result["classes"].get(key, {})
        ours = cells.get("bnsd", {})
        for name in NAMES:
            cell = cells.get(name)
            if cell is None:
                continue
            if "not_offered" in cell:
                yield [title, name, "not offered: " + cell["not_offered"]]
                continue
            row = [title, name, *(figure(cell.get(k), 2 if k == "cpu_us" else 0) for k, _ in FIGURES)]
            row += [figure(cell.get(key), 0) for key in ("memory_mb", "file_mb")]
            row += ["-", "-"] if name == "bnsd" else [
                ratio(ours.get(k), cell.get(k)) for k in ("cpu_us", "qps")
            ]
            remarks = [f"{cell[k]:.0f} {k}" for k in ("lost", "failed") if cell.get(k)]
            yield [*row, ", ".join(remarks)]


HEAD = ["class", "server", *(title for _, title in FIGURES), "memory MB", "files MB", "bnsd's CPU /", "bnsd's q/s /", ""]
SCALE_HEAD = ["names", "memory MB", "after cold MB", "first answer ms", "warm CPU µs", "cold CPU µs"]


def scale_rows(result):
    for entry in result["scale"]:
        keys = ("memory_start_mb", "memory_full_mb", "first_ms", "warm_us", "cold_us")
        yield [f"{entry['names']:,}", *(figure(entry.get(key), 2 if key.endswith("us") else 0) for key in keys)]


def start_rows(result):
    for name, entry in result["start"].items():
        yield [name, figure(entry["first_ms"], 1), figure(entry["memory_mb"], 0)]


def plain(head, rows):
    """A table for a terminal; a short row's last cell may run on."""
    rows = list(rows)
    full = [head, *(row for row in rows if len(row) == len(head))]
    widths = [max(len(row[column]) for row in full) for column in range(len(head))]
    widths[0] = max([widths[0], *(len(row[0]) for row in rows)])

    def line(row):
        cells = [cell.ljust(width) if at < 2 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))]
        if len(row) < len(head):
            cells[-1] = row[-1]
        return "  ".join(cells).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])


def markdown(head, rows):
    """The same for a README."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        lines.append("| " + " | ".join([*row, *[""] * (len(head) - len(row))]) + " |")
    return "\n".join(lines)


def goals(result):
    """Every goal of the project with what was measured: (text, measured or None, limit, whether it is met)."""
    cells = result["classes"]

    def of(key, name, what="cpu_us"):
        return cells.get(key, {}).get(name, {}).get(what)

    def over(one, other):
        return one / other if one and other else None

    scale = {entry["names"]: entry for entry in result["scale"]}

    def growth(what, names=1_000_000):
        return over(scale.get(names, {}).get(what), scale.get(10_000, {}).get(what))

    def memory(names):
        return scale.get(names, {}).get("memory_full_mb")

    ours = result["start"].get("bnsd", {}).get("first_ms")
    at_most = [
        ("BNS answer: CPU of NSD's", over(of("bns", "bnsd"), of("bns", "nsd")), 0.95),
        ("BNS answer: CPU of the echo's", over(of("bns", "bnsd"), of("bns", "echo")), 1.15),
        ("cached forward: CPU of unbound's", over(of("forward", "bnsd"), of("forward", "unbound")), 0.95),
        ("cold BNS answer: CPU of NSD's", over(of("cold", "bnsd"), of("cold", "nsd")), 0.95),
        ("the same, page cache dropped", over(of("dropped", "bnsd"), of("dropped", "nsd")), 2),
        ("second type: CPU of NSD's", over(of("second", "bnsd"), of("second", "nsd")), 0.95),
        ("memory with 100,000 names, all asked, without files, MB", memory(100_000), 100),
        ("first answer after start, ms", ours, 100),
        ("warm CPU at 1,000,000 names of that at 10,000", growth("warm_us"), 1.1),
        ("cold CPU at 1,000,000 names of that at 10,000", growth("cold_us"), 1.05),
        ("cold CPU at 10,000,000 names of that at 10,000", growth("cold_us", 10_000_000), 1.1),
        ("memory with 10,000,000 names, without files, MB", memory(10_000_000), 1_200),
    ]
    found = [(text, value, f"<= {limit}", None if value is None else value <= limit) for text, value, limit in at_most]
    tcp = over(of("tcp", "bnsd", "qps"), of("tcp", "unbound", "qps"))
    found.append(("TCP: queries/s of unbound's", tcp, ">= 1.0", None if tcp is None else tcp >= 1.0))
    return found


def lengths(found):
    """Whether everybody's answers have the same number of bytes."""
    if len(set(found.values())) <= 1:
        return f"every answer has {next(iter(found.values()), 0)} bytes"
    return "answers have " + ", ".join(f"{count} bytes ({name})" for name, count in found.items())


def goal_lines(result):
    words = {True: "met", False: "MISSED", None: "not measured"}
    return [f"  {words[met]:<13}{figure(value, 2):>8} {limit:<8} {text}" for text, value, limit, met in goals(result)]


def text(result):
    """Everything, for a terminal."""
    machine = result["machine"]
    parts = [f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"]
    parts.append(f"{machine['workers']} workers each, median of {machine['rounds']} rounds, {machine['names']:,} names")
    if machine["busy"]:
        parts.append(f"WARNING: the machine was busy ({machine['busy']}); these figures only show that this works")
    parts += [lengths(result["answer_bytes"])]
    parts += ["", plain(HEAD, class_rows(result)), ""]
    parts += [plain(["server", "first answer ms", "memory at start MB"], start_rows(result)), ""]
    if result["scale"]:
        parts += ["bnsd by number of names", plain(SCALE_HEAD, scale_rows(result)), ""]
    return "\n".join([*parts, "Goals", *goal_lines(result), ""])


def readme(result):
    """The table for the project's README, with machine and date."""
    machine = result["machine"]
    busy = f" The machine was busy ({machine['busy']})." if machine["busy"] else ""
    about = (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['date']}; "
        f"{machine['workers']} workers each, median of {machine['rounds']} rounds.{busy}"
    )
    tables = [markdown(HEAD, class_rows(result)), markdown(SCALE_HEAD, scale_rows(result))]
    return "\n\n".join([about, *tables]) + "\n"


def escape(value):
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def svg(result):
    """A bar for each server and class: CPU per query, so shorter is better."""
    bars, top = [], 64
    longest = max(
        (cell["cpu_us"] for cells in result["classes"].values() for cell in cells.values() if cell.get("cpu_us")),
        default=1,
    )
    for key, (title, _) in CLASSES.items():
        cells = result["classes"].get(key, {})
        if not cells:
            continue
        bars.append(f'<text x="16" y="{top + 12}" class="class">{escape(title)}</text>')
        for name in (name for name in NAMES if name in cells):
            bars += bar(name, cells[name], top, 480 / longest)
            top += 18
        top += 14
    machine = result["machine"]
    about = f"{machine['cpu']}, {machine['workers']} workers, {machine['date']}"
    if machine["busy"]:
        about += ", busy machine"
    style = (
        "text{font:12px sans-serif;fill:#343a40}.head{font-size:15px;font-weight:bold}.class{font-weight:bold}"
        ".small{fill:#868e96}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{top + 4}" viewBox="0 0 900 {top + 4}">'
        f'<title>Server CPU per query</title><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>'
        '<text x="16" y="26" class="head">Server CPU per query in µs (shorter is better)</text>'
        f'<text x="16" y="46" class="small">{escape(about)}</text>' + "".join(bars) + "</svg>\n"
    )


def bar(name, cell, top, scale):
    """One line of the picture."""
    yield f'<text x="290" y="{top + 12}" text-anchor="end">{escape(name)}</text>'
    cpu = cell.get("cpu_us")
    if cpu is None:
        yield f'<text x="300" y="{top + 12}" class="small">not offered</text>'
        return
    width = max(cpu * scale, 1)
    yield f'<rect x="300" y="{top + 1}" width="{width:.1f}" height="14" fill="{COLOURS.get(name, OTHERS)}"/>'
    yield f'<text x="{306 + width:.1f}" y="{top + 12}">{cpu:.2f}</text>'
