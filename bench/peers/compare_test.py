#!/usr/bin/env python3
"""Tests the arithmetic and the tables of compare.py, serve.py and quality.py with invented figures; runs no engine."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent / "engines")]
sys.dont_write_bytecode = True
import common  # noqa: E402
import compare  # noqa: E402
import quality  # noqa: E402
import serve  # noqa: E402


def options(**more):
    return argparse.Namespace(suite="micro", model=pathlib.Path("/m/llama"), threads=2, rounds=1, repeats=3, **more)


class Table(unittest.TestCase):
    def test_rates_are_over_the_best_other(self):
        records = {("decode", "tok/s", "int8", "dray"): {"results": [90.0, 100.0, 300.0]},
                   ("decode", "tok/s", "int8", "ctranslate2"): {"results": [10.0]},
                   ("decode", "tok/s", "int8", "llama_cpp"): {"results": [40.0]}}
        engines = compare.make_engines(["dray", "ctranslate2", "llama_cpp"])
        text = compare.markdown(options(), engines, records, [{"read_gb_per_second": 50.0}, None])
        self.assertIn("| decode | tok/s | int8 | 100 | 10 | 40 | 2.50 x |", text)
        self.assertIn("- read_gb_per_second: 50 to 50, median 50", text)

    def test_seconds_are_under_the_best_other(self):
        records = {("batch", "s", "bf16", "dray"): {"results": [5.0]},
                   ("batch", "s", "bf16", "accelerate"): {"results": [20.0]}}
        text = compare.markdown(options(), compare.make_engines(["dray", "accelerate"]), records, [])
        self.assertIn("| batch | s | bf16 | 5 | 20 | 4.00 x |", text)

    def test_the_better_of_both_of_ours_counts(self):
        records = {("start", "s", "bf16", "dray"): {"results": [4.0]},
                   ("start", "s", "bf16", "dray_artifact"): {"results": [1.0]},
                   ("start", "s", "bf16", "accelerate"): {"results": [3.0]}}
        engines = compare.make_engines(["dray", "dray_artifact", "accelerate"])
        text = compare.markdown(options(), engines, records, [])
        self.assertIn("| start | s | bf16 | 4 | 1 | 3 | 3.00 x |", text)

    def test_an_engine_that_failed_leaves_a_gap(self):
        records = {("prompt", "tok/s", "int4", "dray"): {"results": [7.0]}}
        text = compare.markdown(options(), compare.make_engines(["dray", "llama_cpp"]), records, [])
        self.assertIn("| prompt | tok/s | int4 | 7 |  |  |", text)

    def test_unknown_engines_are_named(self):
        with self.assertRaisesRegex(SystemExit, "no engine 'vllm'; there are dray"):
            compare.make_engines(["vllm"])

    def test_clients(self):
        engines = compare.make_engines(["dray", "llama_cpp"])
        text = serve.markdown(options(prompt=128, new=64, clients=[8]), engines,
                              {(8, "dray"): [[100.0, 1.0], [120.0, 3.0], [110.0, 2.0]]})
        self.assertIn("| 8 | 110.0 · 2.00 |  |", text)

    def test_quality_is_a_share_of_bits(self):
        columns = [("as it is", {"F32": 2.0, "Q8_0": 2.0, "Q4_0": 4.0}),
                   ("norms", {"F32": 4.0, "Q8_0": 6.0, "Q4_0": 2.0})]
        text = quality.markdown(columns, ["Q8_0", "Q4_0"])
        self.assertIn("| F32, bits | 2.00000 | 4.00000 |", text)
        self.assertIn("| Q8_0 | +0.000 % | +50.000 % |", text)
        self.assertIn("| Q4_0 | +100.000 % | -50.000 % |", text)

    def test_stories_are_counted_from_the_beginning(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "text"
            path.write_text("a\nb\n\nc\n\nd\n", encoding="utf-8")
            self.assertEqual(quality.first_stories(path, 2), ["a\nb", "c"])


class Workloads(unittest.TestCase):
    def test_decode_leaves_the_first_tokens_out(self):
        clock = iter([0.0, 2.0, 10.0, 16.0])
        common.time.perf_counter, real = (lambda: next(clock)), common.time.perf_counter
        try:
            asked = []
            timed = common.Timed(lambda batch, new: asked.append((len(batch), new)), 1000)
            rate = timed.measure({"kind": "decode", "sequences": 4, "prompt": 8, "new": 11})
        finally:
            common.time.perf_counter = real
        self.assertEqual(asked, [(4, 1), (4, 11)])
        self.assertEqual(rate, 4 * 10 / (6.0 - 2.0))

    def test_prompts_differ_and_stay_in_the_vocabulary(self):
        first, second = common.prompts(2, 50, 100)
        self.assertNotEqual(first, second)
        self.assertTrue(all(10 <= token < 90 for token in first + second))

    def test_mixed_texts_go_from_short_to_long(self):
        self.assertEqual(sorted(common.mixed_lengths(4, 512)), [8, 32, 128, 512])
        self.assertEqual(common.mixed_lengths(32, 512), common.mixed_lengths(32, 512))
        work = {"kind": "encode_mixed", "texts": 4, "tokens": 512}
        self.assertEqual(sorted(len(text) for text in common.texts_of(work, 1000)), [8, 32, 128, 512])

    def test_every_way_to_batch_has_all_texts(self):
        texts = [[i] * (i + 1) for i in range(20)]
        for way in common.ways_to_batch(texts):
            self.assertEqual(sorted(text for batch in way for text in batch), texts)

    def test_accelerate_refuses_integers(self):
        script = compare.HERE / "engines" / "accelerate.py"
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, script, "prepare", "--model", folder, "--format", "int8", "--out",
                                   f"{folder}/out"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr.strip()), (1, "accelerate: only bf16"))

    def test_workloads_can_be_left_out(self):
        names = [compare.label(work) for work in compare.SUITES["encoder"] if compare.is_wanted(work, ["x 16", "of up"])]
        self.assertEqual(names, ["1 x 16", "8 x 16", "32 x 16", "16 of up to 512"])
        self.assertTrue(compare.is_wanted({"kind": "start", "prompt": 4}, None))

    def test_every_suite_names_known_units(self):
        for works in compare.SUITES.values():
            for work in works:
                self.assertIn(work["kind"], compare.UNITS)
                self.assertEqual(json.loads(json.dumps(work)), work)
                self.assertTrue(compare.label(work))


if __name__ == "__main__":
    unittest.main()
