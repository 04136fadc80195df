"""Tests of what the comparison calculates: `PYTHONPATH=benches python3 -m unittest compare.tests`."""

from __future__ import annotations

import json
import unittest
import xml.etree.ElementTree as xml

from .cpu import TICKS, Machine, Spent, parse_machine, parse_process
from .errors import BenchError
from .loads import Latency, Transfer, parse_iperf, parse_ping
from .plot import bar_plot
from .results import Run, compare
from .rows import GIB, ROWS, transfer_figures
from .table import comparison_table, number

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


class Calculating(unittest.TestCase):
    def test_percentiles_take_the_nearest_rank(self) -> None:
        trips = Latency(100, [float(value) for value in range(100, 0, -1)])
        self.assertEqual((trips.percentile(0.5), trips.percentile(0.99)), (50.0, 99.0))
        self.assertEqual(Latency(1, [3.0]).percentile(0.99), 3.0)

    def test_a_transfer_is_brought_to_one_gib(self) -> None:
        spent = Spent(4.0, {"server": 6.0}, Machine(3.0, 8.0, 1.0, 4.0, 0.0))
        figures = transfer_figures(spent, "server", Transfer(2 * GIB, 0.0, 0.0), {"load_client": 2.0})
        self.assertEqual(figures["server_cpu"], 3.0)
        self.assertEqual(figures["server_core"], 1.5)
        self.assertEqual(figures["machine_rest"], 2.0)
        self.assertEqual(figures["busiest_load"], 0.5)
        self.assertAlmostEqual(figures["gbit_per_second"], 2 * GIB * 8 / 1e9 / 4)

    def test_ratios_are_taken_pair_by_pair(self) -> None:
        values = {("stock", 1): 10.0, ("culvert", 1): 1.0, ("stock", 2): 8.0, ("culvert", 2): 2.0, ("stock", 3): 9.0}
        runs = [Run(UP.name, side, pair, {"server_cpu": value}) for (side, pair), value in values.items()]
        (comparison,) = compare([UP, IDLE], runs)
        self.assertEqual((comparison.ratio.median, comparison.ratio.least, comparison.ratio.most), (7.0, 4.0, 10.0))
        self.assertEqual(comparison.stock.median, 9.0)
        self.assertTrue(comparison.met)

    def test_a_target_of_one_wants_more_than_equality(self) -> None:
        figure = IDLE.figures[0]
        self.assertFalse(figure.met(1.0))
        self.assertTrue(figure.met(1.01))
        self.assertTrue(UP.figures[0].met(5.0))
        self.assertFalse(UP.figures[0].met(4.99))


    def test_without_a_target_nothing_is_met_or_missed(self) -> None:
        figure = next(row for row in ROWS if row.name == "tcp-up").figures[0]
        self.assertIsNone(figure.met(100.0))


class Showing(unittest.TestCase):
    def test_one_side_alone_has_no_ratio(self) -> None:
        comparisons = compare([UP], [Run(UP.name, "culvert", 1, {"server_cpu": 1.5})])
        line = comparison_table(comparisons).splitlines()[-1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        self.assertEqual(cells, [UP.name, "server CPU, s/GiB", "-", "1.50 (1.50..1.50)", "-", ">= 5", "-"])

    def test_numbers_have_about_three_digits(self) -> None:
        self.assertEqual([number(value) for value in (0.123, 9.876, 12.34, 123.4)], ["0.12", "9.88", "12.3", "123"])

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
