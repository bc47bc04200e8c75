"""Adds up the results of the phases of scripts/test. Arguments: LOGS, their folder, and BROKEN, the number of failed phases.

Prints 'N passed, N failed, N skipped'; the status is 0 when nothing failed.
"""

import json
import pathlib
import re
import sys

# Results by the prefix of their line. All checks of this repository use the same prefixes,
# whatever language they are written in.
MARKS = {"ok ": 0, "FAILED ": 1, "SKIPPED": 2}
CHECKS = ("deny", "style", "cluster", "leaks", "poison", "containers", "machine", "kind-failures")
GO = {"--- PASS: ": 0, "--- FAIL: ": 1, "--- SKIP: ": 2}
VERDICTS = {"pass": 0, "known": 0, "fail": 1, "error": 1, "unexpected": 1, "skip": 2}


def count(logs, broken):
    """Passed, failed and skipped, from the logs and the run reports in a folder; `broken` is the number of failed phases."""
    text = {name: read(logs / f"{name}.out") for name in (*CHECKS, "cargo-test", "go-test")}
    counts = [0, 0, 0]
    for name in ("cargo-test", "containers"):
        for found in re.findall(r"(\d+) passed; (\d+) failed; (\d+) ignored", text[name]):
            counts = [total + int(part) for total, part in zip(counts, found, strict=True)]
    if "test result" in text["containers"]:
        counts[2] = 0  # the tests that cargo ignored ran there
    add_lines(counts, text["go-test"], GO)
    for name in CHECKS:
        add_lines(counts, text[name], MARKS)
    for report in logs.glob("*/report.json"):
        summary = json.loads(report.read_text())["summary"]
        for verdict, place in VERDICTS.items():
            counts[place] += summary.get(verdict, 0)
    if broken and not counts[1]:
        counts[1] = broken  # the failed phase has no tests to count: format, lints, the tool chain, or a crash
    return counts


def add_lines(counts, text, marks):
    for line in text.splitlines():
        for mark, place in marks.items():
            counts[place] += line.startswith(mark)


def read(log):
    """Reads a log; empty when the phase was not reached."""
    return log.read_text(errors="replace") if log.exists() else ""


def main():
    logs, broken = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    passed, failed, skipped = count(logs, broken)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if broken or failed or not passed else 0)


if __name__ == "__main__":
    main()
