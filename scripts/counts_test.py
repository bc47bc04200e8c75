import json
import pathlib
import tempfile
import unittest

from counts import count

CARGO = "test result: ok. 5 passed; 0 failed; 2 ignored; 0 measured; 4 filtered out\n"


class Counts(unittest.TestCase):
    def counted(self, logs, reports=(), broken=0):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for name, text in logs.items():
                (folder / f"{name}.out").write_text(text)
            for number, summary in enumerate(reports):
                (folder / str(number)).mkdir()
                (folder / str(number) / "report.json").write_text(json.dumps({"summary": summary}))
            return count(folder, broken)

    def test_every_kind_of_log(self):
        for name, logs, wanted in [
            ("no phase was reached", {}, [0, 0, 0]),
            ("several binaries", {"cargo-test": CARGO + CARGO}, [10, 0, 4]),
            (
                "ignored tests ran",
                {"cargo-test": CARGO, "containers": "test result: ok. 2 passed; 0 failed; 0 ignored;"},
                [7, 0, 0],
            ),
            ("ignored tests could not run", {"cargo-test": CARGO, "containers": "SKIPPED: no engine\n"}, [5, 0, 3]),
            ("Go", {"go-test": "=== RUN X\n--- PASS: X\n    --- PASS: X/part\n--- FAIL: Y\n--- SKIP: Z\n"}, [1, 1, 1]),
            (
                "checks in Rust",
                {"cluster": "== title\nok        0.10 s  create\nFAILED    1.00 s  scale: why\n1 passed, 1 failed\n"},
                [1, 1, 0],
            ),
            (
                "checks of the machine",
                {
                    "machine": "ok      the target is ready\nFAILED  the target goes down (status 1)\n        ok\n1 failed\n"
                },
                [1, 1, 0],
            ),
            (
                "cargo's own output is not counted",
                {"cluster": "test checks::cluster::x ... ok\ntest result: FAILED. 0 passed\n"},
                [0, 0, 0],
            ),
            ("a program that is missing", {"deny": "SKIPPED: cargo-deny is not on PATH\n"}, [0, 0, 1]),
        ]:
            with self.subTest(name):
                self.assertEqual(self.counted(logs), wanted)

    def test_verdicts_of_all_reports(self):
        summary = {"pass": 3, "known": 1, "fail": 1, "error": 1, "unexpected": 1, "skip": 2, "wall_ms": 5}
        self.assertEqual(self.counted({}, [summary, {"pass": 1}]), [5, 3, 2])

    def test_a_phase_without_tests_that_broke_is_a_failure(self):
        self.assertEqual(self.counted({"cargo-test": CARGO}, broken=2), [5, 2, 2])
        self.assertEqual(self.counted({"style": "FAILED  ruff\n"}, broken=2), [0, 1, 0])


if __name__ == "__main__":
    unittest.main()
