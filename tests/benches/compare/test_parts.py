#!/usr/bin/env python3
"""Tests of what the comparison computes itself: `python3 tests/benches/compare/test_parts.py`. Needs nothing installed."""

import os
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from parts import data, measure, report, servers, wire  # noqa: E402

OUTPUT = """Statistics:

  Queries sent:         210001
  Queries completed:    210000 (99.99%)
  Queries lost:         1 (0.00%)

  Response codes:       NOERROR 209990 (99.99%), NXDOMAIN 10 (0.00%)
  Queries per second:   104957.113481
"""


def cell(cpu, qps=100_000.0):
    return {"qps": qps, "cpu_us": cpu, "p50_us": 50.0, "p99_us": 99.0, "memory_mb": 12.0, "file_mb": 3.0, "lost": 0, "failed": 0}


def result(busy=""):
    classes = {key: {} for key in servers.CLASSES}
    classes["bns"] = {"bnsd": cell(3.0), "nsd": cell(3.2), "echo": cell(2.8)}
    classes["dot"] = {"bnsd": {"not_offered": "no <DoT> & so"}, "unbound": cell(9.0)}
    machine = {"date": "2026-01-02", "cpu": "A <CPU>", "cores": 2, "kernel": "6", "workers": 2, "rounds": 5, "names": 10, "busy": busy}
    return {"machine": machine, "classes": classes, "start": {"bnsd": {"first_ms": 50.0, "memory_mb": 9.0}}, "scale": [], "answer_bytes": {"bnsd": 51, "nsd": 51}}


class Wire(unittest.TestCase):
    def answer(self, ttl=300, address=b"\xc0\x00\x02\x01"):
        question = wire.query("Name1.id", "A")
        record = b"\xc0\x0c\x00\x01\x00\x01" + ttl.to_bytes(4, "big") + b"\x00\x04" + address
        return wire.answers(question[:2] + b"\x84\x00\x00\x01\x00\x01" + question[8:] + record)

    def test_an_answer_section_is_read(self):
        self.assertEqual(self.answer(), (0, [("name1.id", 1, 1, 300, b"\xc0\x00\x02\x01")]))

    def test_answers_are_the_same_but_for_a_ttl_that_counted_down(self):
        self.assertTrue(wire.same(self.answer(), self.answer(ttl=290)))
        self.assertFalse(wire.same(self.answer(), self.answer(ttl=30)))
        self.assertFalse(wire.same(self.answer(), self.answer(address=b"\xc0\x00\x02\x02")))

    def test_a_pointer_to_itself_ends(self):
        with self.assertRaises(ValueError):
            wire.skip_name(b"\xc0\x00", 0)


class Measure(unittest.TestCase):
    def test_totals_of_dnsperf(self):
        totals = measure.parse_totals(OUTPUT)
        self.assertEqual((totals["completed"], totals["lost"], totals["noerror"]), (210000, 1, 209990))
        self.assertAlmostEqual(totals["qps"], 104957.113481)

    def test_another_output_is_a_failure_that_says_so(self):
        with self.assertRaisesRegex(measure.Failure, "another version"):
            measure.parse_totals("nothing")

    def test_latencies_and_percentiles(self):
        text = "".join(f"> NOERROR name{n}.id A 0.{n:06}\n" for n in range(1, 101))
        values = measure.parse_latencies(text)
        self.assertEqual((measure.percentile(values, 0.5), measure.percentile(values, 0.99)), (5e-05, 9.9e-05))

    def test_medians_and_sums(self):
        rounds = [{"qps": 1, "lost": 1}, {"qps": 9, "lost": 2}, {"qps": 2, "lost": 0}]
        self.assertEqual(measure.median_of(rounds), {"qps": 2, "lost": 3})

    def test_cpu_and_memory_of_a_session(self):
        child = subprocess.Popen(["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; cat"],
                                 stdin=subprocess.PIPE, start_new_session=True)
        try:
            measure.settled(child.pid, 20)
            self.assertGreater(measure.cpu_seconds(child.pid), 0.01)
            memory = measure.memory(child.pid)
            self.assertGreater(memory["memory_mb"], 0)
            self.assertGreater(memory["file_mb"], 0)
        finally:
            child.stdin.close()
            child.wait()
        self.assertEqual(measure.session_pids(child.pid), [])


class Servers(unittest.TestCase):
    def test_a_missing_program_names_its_package(self):
        servers.PACKAGES["no-such-program"] = "the-package"
        with self.assertRaisesRegex(measure.Failure, "apt-get install the-package"):
            servers.find("no-such-program")
        del servers.PACKAGES["no-such-program"]

    def test_every_placeholder_of_every_configuration_is_filled(self):
        values = dict.fromkeys(("DATA", "RUN", "PORT", "TLSPORT", "WORKERS", "UPSTREAM"), "1")
        with tempfile.TemporaryDirectory() as directory:
            for template in os.listdir(servers.CONFIGS):
                with open(servers.fill_in(template, f"{directory}/{template}", values)) as file:
                    self.assertNotRegex(file.read(), "@[A-Z]+@", template)


class Data(unittest.TestCase):
    def test_names_in_the_form_of_every_server(self):
        with tempfile.TemporaryDirectory() as directory:
            data.export([("n1.id", "198.18.0.1", "2001:db8::1")], directory)
            with open(f"{directory}/id.zone") as zone, open(f"{directory}/hosts") as hosts:
                self.assertIn("n1.id. 300 A 198.18.0.1\n", zone.read())
                self.assertIn("198.18.0.1 n1.id\n", hosts.read())
            with open(f"{directory}/unbound.local") as local:
                self.assertIn("local-data: 'n1.id. 300 TXT \"v=spf1 mx -all\"'\n", local.read())

    def test_the_order_is_the_same_every_time_and_no_name_comes_twice(self):
        rows = [(f"n{n}.id", "", "") for n in range(100)]
        self.assertEqual(data.choose(rows, 50, "a"), data.choose(rows, 50, "a"))
        self.assertEqual(len(set(data.choose(rows, 200, "a"))), 100)


class Report(unittest.TestCase):
    def test_the_table_has_ratios_and_never_leaves_a_class_out_silently(self):
        text = report.text(result())
        self.assertRegex(text, r"BNS answer +nsd +100,000 +3\.20 .* 0\.94 +1\.00")
        self.assertIn("not offered: no <DoT> & so", text)

    def test_answers_of_different_length_are_said(self):
        self.assertIn("every answer has 51 bytes", report.text(result()))
        self.assertEqual(report.lengths({"a": 51, "b": 62}), "answers have 51 bytes (a), 62 bytes (b)")

    def test_goals_are_met_missed_or_not_measured(self):
        lines = "\n".join(report.goal_lines(result()))
        self.assertRegex(lines, r"met +0\.94 <= 0\.95 +BNS answer: CPU of NSD's")
        self.assertRegex(lines, r"not measured +- <= 0\.95 +cached forward")

    def test_a_busy_machine_is_said_everywhere(self):
        busy = result(busy="load 7.0 before the start")
        self.assertIn("WARNING", report.text(busy))
        self.assertIn("busy", report.readme(busy))
        self.assertIn("busy", report.svg(busy))

    def test_the_picture_is_well_formed(self):
        picture = xml.dom.minidom.parseString(report.svg(result()))
        self.assertEqual(len(picture.getElementsByTagName("rect")), 5)  # the ground and four bars


class Command(unittest.TestCase):
    def run_with(self, *arguments):
        return subprocess.run([sys.executable, f"{HERE}/run", *arguments], capture_output=True, text=True)

    def test_help_names_every_option_of_the_readme(self):
        shown = self.run_with("--help").stdout
        for option in "quick rounds seconds names scale only server-cpus client-cpus rate bnsd refill out".split():
            self.assertIn(f"--{option}", shown)

    def test_unknown_classes_and_too_few_names_are_errors(self):
        self.assertIn("no such class: doq; choose from bns", self.run_with("--only", "doq").stderr)
        self.assertIn("at least 10,000 names", self.run_with("--names", "99").stderr)


if __name__ == "__main__":
    unittest.main()
