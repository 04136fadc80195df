"""Tests of what the comparison calculates: `PYTHONPATH=benches python3 -m unittest compare.tests`."""

from __future__ import annotations

import json
import unittest
import xml.etree.ElementTree as xml

from .cpu import TICKS, Machine, Spent, parse_machine, parse_process, parse_resident
from .errors import BenchError
from .generator import parse_report
from .loads import Latency, Transfer, parse_iperf, parse_ping
from .plot import bar_plot
from .results import Run, compare
from .row import GIB, Figure
from .rows import ROWS
from .table import comparison_table, detail_table, number
from .transfers import transfer_figures

UP = next(row for row in ROWS if row.name == "udp-stock-up")
IDLE = next(row for row in ROWS if row.name == "latency-idle")


def iperf_output(sender: bool, received: int) -> str:
    return json.dumps({
        "end": {
            "sum_received": {"bytes": received, "seconds": 10, "sender": sender},
            "cpu_utilization_percent": {"host_total": 30, "remote_total": 5},
        }
    })


class Parsing(unittest.TestCase):
    def test_a_process_name_with_spaces_and_brackets_does_not_shift_the_fields(self) -> None:
        stat = "42 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0"
        self.assertEqual(parse_process(stat), 300 / TICKS)

    def test_the_machines_line_adds_up_nice_iowait_and_interrupts(self) -> None:
        machine = parse_machine("cpu  100 20 300 4000 50 6 7 8 0 0\ncpu0 1 2 3")
        wanted = Machine(120 / TICKS, 300 / TICKS, 13 / TICKS, 4050 / TICKS, 8 / TICKS)
        self.assertEqual(machine, wanted)

    def test_iperf_says_who_sent(self) -> None:
        self.assertEqual(parse_iperf(iperf_output(True, 7)), Transfer(7, sender_cpu=3.0, receiver_cpu=0.5))
        self.assertEqual(parse_iperf(iperf_output(False, 7)), Transfer(7, sender_cpu=0.5, receiver_cpu=3.0))

    def test_iperf_without_payload_or_with_an_error_is_no_result(self) -> None:
        for output in (iperf_output(True, 0), '{"error": "unable to connect"}', "not JSON"):
            with self.subTest(output), self.assertRaises(BenchError):
                parse_iperf(output)

    def test_ping_counts_lost_packets(self) -> None:
        output = "64 bytes: icmp_seq=1 ttl=63 time=0.25 ms\n64 bytes: icmp_seq=3 ttl=63 time=12 ms\n3 packets transmitted"
        trips = parse_ping(output)
        self.assertEqual((trips.times, trips.lost), ([0.25, 12.0], 1))

    def test_ping_without_an_answer_is_no_result(self) -> None:
        with self.assertRaises(BenchError):
            parse_ping("3 packets transmitted, 0 received, 100% packet loss")


    def test_a_report_is_found_between_other_lines(self) -> None:
        said = 'warning {"event":"result"}\n7\n{"event":"ready","clients":2}\n{"event":"result","lost":0}\n'
        self.assertEqual(parse_report(said, "result"), {"event": "result", "lost": 0})
        with self.assertRaises(BenchError):
            parse_report(said, "end")

    def test_resident_memory_is_read_in_kib(self) -> None:
        self.assertEqual(parse_resident("Name:\tculvertd\nVmHWM:\t  99 kB\nVmRSS:\t  1234 kB\n"), 1234)
        with self.assertRaises(BenchError):
            parse_resident("Name:\tkthreadd\n")


class Calculating(unittest.TestCase):
    def test_percentiles_take_the_nearest_rank(self) -> None:
        trips = Latency(100, [float(value) for value in range(100, 0, -1)])
        self.assertEqual((trips.percentile(0.5), trips.percentile(0.99)), (50.0, 99.0))
        self.assertEqual(Latency(1, [3.0]).percentile(0.99), 3.0)

    def test_a_transfer_is_brought_to_one_gib(self) -> None:
        spent = Spent(4.0, {"server": 6.0}, Machine(3.0, 8.0, 1.0, 4.0, 0.0))
        figures = transfer_figures(spent, "server", 2 * GIB, {"load_client": 2.0})
        self.assertEqual(figures["server_cpu"], 3.0)
        self.assertEqual(figures["server_core"], 1.5)
        self.assertEqual(figures["machine_rest"], 2.0)
        self.assertEqual(figures["busiest_load"], 0.5)
        self.assertAlmostEqual(figures["gbit_per_second"], 2 * GIB * 8 / 1e9 / 4)
        self.assertAlmostEqual(figures["load_ceiling"], 2 * GIB * 8 / 1e9 / 2)
        self.assertEqual(figures["idle_percent"], 25.0)

    def test_ratios_are_taken_pair_by_pair(self) -> None:
        values = {("stock", 1): 10.0, ("culvert", 1): 1.0, ("stock", 2): 8.0, ("culvert", 2): 2.0, ("stock", 3): 9.0}
        runs = [Run(UP.name, side, pair, {"server_cpu": value}) for (side, pair), value in values.items()]
        (comparison,) = compare([UP, IDLE], runs)
        self.assertEqual((comparison.ratio.median, comparison.ratio.least, comparison.ratio.most), (7.0, 4.0, 10.0))
        self.assertEqual(comparison.stock.median, 9.0)
        self.assertTrue(comparison.met)

    def test_a_target_of_one_wants_more_than_equality(self) -> None:
        figure = IDLE.figures[0]
        self.assertFalse(figure.met(1.0, 1.0))
        self.assertTrue(figure.met(1.01, 1.0))
        self.assertTrue(UP.figures[0].met(5.0, 1.0))
        self.assertFalse(UP.figures[0].met(4.99, 1.0))

    def test_where_more_is_better_the_ratio_is_turned_over(self) -> None:
        more = Figure("rate", "rate", "1/s", 3, more_is_better=True)
        self.assertEqual(more.ratio(10.0, 40.0), 4.0)
        self.assertEqual(UP.figures[0].ratio(10.0, 40.0), 0.25)
        self.assertIsNone(more.ratio(0.0, 40.0))

    def test_a_bound_is_kept_by_culvert_alone_and_without_stock(self) -> None:
        row = next(row for row in ROWS if row.name == "idle-10000")
        values = {"relative": 1.15, "memory": 24.1}
        relative, memory = compare([row], [Run(row.name, "culvert", 1, values)])
        self.assertEqual((relative.met, memory.met), (True, False))
        stock = compare([row], [Run(row.name, "stock", 1, values)])
        self.assertEqual([one.met for one in stock], [None, None])

    def test_without_a_target_nothing_is_met_or_missed(self) -> None:
        figure = next(row for row in ROWS if row.name == "full-1400").figures[0]
        self.assertIsNone(figure.met(100.0, 1.0))


class Showing(unittest.TestCase):
    def test_one_side_alone_has_no_ratio(self) -> None:
        comparisons = compare([UP], [Run(UP.name, "culvert", 1, {"server_cpu": 1.5})])
        line = comparison_table(comparisons).splitlines()[-1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        self.assertEqual(cells, [UP.name, "server CPU, s/GiB", "-", "1.50 (1.50..1.50)", "-", ">= 5", "-"])

    def test_numbers_have_about_three_digits(self) -> None:
        self.assertEqual([number(value) for value in (0.123, 9.876, 12.34, 123.4)], ["0.12", "9.88", "12.3", "123"])

    def test_a_load_that_fills_a_core_is_named_as_the_limit(self) -> None:
        seen = {"busiest_load": 0.97, "server_core": 0.4, "idle_percent": 30.0}
        limits = []
        for change in ({}, {"busiest_load": 0.5}, {"idle_percent": 2.0, "server_core": 1.2}):
            lines = detail_table([UP], [Run(UP.name, "culvert", 1, {**seen, **change})]).splitlines()
            limits.append(lines[-1].strip("|").split("|")[-1].strip())
        self.assertEqual(limits, ["load", "-", "load, server, machine"])

    def test_the_plot_is_well_formed_and_to_scale(self) -> None:
        values = {"stock": 10.0, "culvert": 2.5}
        runs = [Run(UP.name, side, 1, {"server_cpu": value}) for side, value in values.items()]
        root = xml.fromstring(bar_plot(compare([UP], runs)))
        widths = {
            rect.get("class"): float(rect.get("width"))
            for rect in root.iter("{http://www.w3.org/2000/svg}rect")
            if rect.get("class")
        }
        self.assertAlmostEqual(widths["culvert"] / widths["stock"], 0.25, places=2)


if __name__ == "__main__":
    unittest.main()
