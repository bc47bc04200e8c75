"""The measurements of scripts/bench. Arguments: BINARIES GHZ OUT RUNS [PART…]. Prints a Markdown table; all reports stay in OUT."""

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SIMPLE = "routing/metadata"  # one apply, then one probe: the warm figure
NAME = "bench"
DEBOUNCE_MS = 100  # istiod's default PILOT_DEBOUNCE_AFTER: no push starts earlier
SECONDS = 5  # of load per client
CONNECTIONS, STREAMS = 4, 32


def say(text):
    print(text, file=sys.stderr, flush=True)


def p95(values):
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


class Bench:
    def __init__(self, binaries, ghz, out, runs):
        self.meshproof, self.testbed = binaries / "meshproof", binaries / "testbed"
        self.ghz, self.out, self.runs = ghz, out, runs
        self.rows = []

    def row(self, figure, value, samples, bar=""):
        say(f"{figure}: {value}")
        self.rows.append((figure, value, samples, bar))

    def run(self, name, *arguments):
        """Runs meshproof once. Returns its events, its report and the peak memory of its process in MiB."""
        report = self.out / name
        command = [str(self.meshproof), "run", "--report-dir", str(report), *arguments]
        with open(self.out / f"{name}.log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            peak = peak_until_end(process)
        events = [json.loads(line) for line in (report / "events.jsonl").read_text().splitlines()]
        result = json.loads((report / "report.json").read_text())
        say(f"{name}: exit {process.returncode}, {result['summary']}")
        return events, result, peak

    @contextlib.contextmanager
    def target(self):
        subprocess.run([self.meshproof, "target", "up", "--name", NAME], check=True, stdout=sys.stderr)
        try:
            yield
        finally:
            subprocess.run([self.meshproof, "target", "down", "--name", NAME], check=True, stdout=sys.stderr)

    def cold(self):
        """Time to the first verdict, with everything on disk and nothing running."""
        first = []
        for number in range(self.runs):
            events, _, _ = self.run(f"cold-{number}", SIMPLE)
            first.append(next(e["at_ms"] for e in events if e["event"] == "scenario-ended"))
        self.row(
            "binaries on disk → first verdict",
            f"{statistics.median(first) / 1000:.1f} s (largest {max(first) / 1000:.1f} s)",
            self.runs,
            "8 s, goal 3 s",
        )

    def warm(self):
        """Time from the start of `apply` to the end of the probe after it, in a mesh that is up."""
        events, _, _ = self.run("warm", "--name", NAME, "--jobs", "1", "--repeat", "20", SIMPLE)
        spans = apply_to_verdict(events)
        self.row(
            f"warm verdict: apply → verdict, `{SIMPLE}`",
            f"median {statistics.median(spans):.0f} ms, p95 {p95(spans):.0f} ms",
            len(spans),
            "400 ms, goal 180 ms",
        )
        whole = [e["wall_ms"] for e in events if e["event"] == "scenario-ended"]
        self.row(
            "the same with its namespace, pods and clean-up", f"median {statistics.median(whole):.0f} ms", len(whole)
        )

    def suite(self):
        walls, ratios, steps, peaks, verdicts = [], [], [], [], collections.Counter()
        for number in range(self.runs):
            events, result, peak = self.run(f"suite-{number}", "--name", NAME)
            walls.append(judged_ms(events) / 1000)
            peaks.append(peak)
            ended = {
                e["id"]: e for e in events if e["event"] == "scenario-ended" and e["verdict"] != "skip" and e["min_ms"]
            }
            ratios += [e["wall_ms"] / e["min_ms"] for e in ended.values()]
            steps += [sum(in_steps(events, id)) / e["min_ms"] for id, e in ended.items()]
            verdicts.update({k: v for k, v in result["summary"].items() if k != "wall_ms" and v})
            scenarios = len(result["scenarios"])
        told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        self.row(
            f"whole suite, {scenarios} scenarios, warm",
            f"median {statistics.median(walls):.1f} s ({told})",
            self.runs,
            "20 s, goal 6 s",
        )
        self.row(
            "wall time / minimum time of a scenario, pods included",
            f"median {statistics.median(ratios):.1f}",
            len(ratios),
            "2.0, goal 1.2",
        )
        self.row("steps / minimum time of a scenario", f"median {statistics.median(steps):.2f}", len(steps))
        self.row(
            f"peak memory of the harness, {scenarios} scenarios",
            f"{max(peaks):.0f} MiB",
            self.runs,
            "64 MiB, goal 32 MiB",
        )
        world = memory_of_world(self.meshproof)
        for role, peak in sorted(world.items()):
            self.row(f"peak memory of the world's own process `{role}`", f"{peak:.0f} MiB", 1)

    def clients(self):
        """Caller, h2load and ghz in turns against the same server. CPU time is that of the client. Ratios are taken within each turn."""
        port = free_port()
        server = subprocess.Popen(
            [self.testbed, "server", "--bind", "127.0.0.1", "--port", str(port), "--control-port", str(free_port())],
            stderr=subprocess.DEVNULL,
        )
        turns = collections.defaultdict(list)  # by client: calls per second, and calls per CPU second
        try:
            until_open(port)
            for _ in range(self.runs):
                for name, measure in (("caller", self.caller), ("h2load", self.h2load), ("ghz", self.with_ghz)):
                    if found := measure(port):
                        turns[name].append(found)
        finally:
            server.terminate()
            server.wait()
        for name in ("caller", "h2load", "ghz"):
            self.client_row(f"{name}: calls/s, and per CPU second", turns[name], ",.0f")
        for name, bar in (("h2load", "per CPU second: goal 0.5"), ("ghz", "per CPU second: 5")):
            ratios = [[ours / theirs for ours, theirs in zip(*pair)] for pair in zip(turns["caller"], turns[name])]
            self.client_row(f"caller / {name}: calls/s, and per CPU second", ratios, ".2f", bar)

    def client_row(self, figure, turns, form, bar=""):
        medians = "; ".join(f"{statistics.median(column):{form}}" for column in zip(*turns))
        self.row(figure, f"median {medians}" if medians else "not available", len(turns), bar)

    def caller(self, port):
        command = [
            self.testbed,
            "bench",
            "--address",
            f"127.0.0.1:{port}",
            "--connections",
            str(CONNECTIONS),
            "--streams",
            str(STREAMS),
            "--seconds",
            str(SECONDS),
        ]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return figures["calls_per_second"], figures["calls_per_cpu_second"]

    def h2load(self, port):
        with tempfile.NamedTemporaryFile() as body:
            body.write(b"\0\0\0\0\0")  # a gRPC frame with an empty message, as the caller sends
            body.flush()
            command = [
                "h2load",
                "-c",
                str(CONNECTIONS),
                "-m",
                str(STREAMS),
                "-D",
                str(SECONDS),
                "-d",
                body.name,
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
                f"http://127.0.0.1:{port}/mypackage.Greeter/SayHello",
            ]
            text, cpu = with_cpu(command)
        rate = re.search(r"([0-9.]+) req/s", text)
        return rate and (float(rate[1]), float(rate[1]) * SECONDS / cpu)

    def with_ghz(self, port):
        if not os.access(self.ghz, os.X_OK):
            return None
        command = [
            self.ghz,
            "--insecure",
            "--call",
            "mypackage.Greeter/SayHello",
            "-d",
            "{}",
            "--connections",
            str(CONNECTIONS),
            "-c",
            str(CONNECTIONS * STREAMS),
            "-z",
            f"{SECONDS}s",
            "-O",
            "json",
            f"127.0.0.1:{port}",
        ]
        text, cpu = with_cpu(command)
        done = json.loads(text)["statusCodeDistribution"].get("OK", 0)
        return done / SECONDS, done / cpu

    def table(self):
        print("| figure | measured | samples | requirement |\n| --- | --- | ---: | --- |")
        for figure, value, samples, bar in self.rows:
            print(f"| {figure} | {value} | {samples} | {bar} |")


def apply_to_verdict(events):
    """Milliseconds from each step-started of an apply to the step-ended of the next step. Scenarios must run one at a time."""
    spans, applied = [], None
    for event in events:
        if event["event"] == "step-started" and event["what"].startswith("apply"):
            applied = (event["at_ms"], event["step"] + 1)
        elif event["event"] == "step-ended" and applied and event["step"] == applied[1]:
            spans.append(event["at_ms"] - applied[0])
            applied = None
    return spans


def judged_ms(events):
    """Milliseconds from the target being ready to the last verdict."""
    ready = next(e["at_ms"] for e in events if e["event"] == "target-ready")
    return max(e["at_ms"] for e in events if e["event"] == "scenario-ended") - ready


def in_steps(events, id):
    return [e["ms"] for e in events if e["event"] == "step-ended" and e["id"] == id]


def memory_of_world(program):
    """VmHWM in MiB, by role, of the processes of this program that outlive a run: the world and its node."""
    peaks = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):
            if os.path.realpath(folder / "exe") != os.path.realpath(program):
                continue
            role = next(word for word in (folder / "cmdline").read_text().split("\0") if word.startswith("__"))
            peaks[role] = max(peaks.get(role, 0), high_water(folder))
    return peaks


def high_water(folder):
    """VmHWM in MiB, the largest resident size that this process ever had; 0 for a process that has just ended."""
    found = re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text())
    return int(found[1]) / 1024 if found else 0


def peak_until_end(process):
    """VmHWM of a process in MiB. The kernel's count after its end (ru_maxrss) includes the children and this script."""
    folder, peak = pathlib.Path("/proc", str(process.pid)), 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            peak = max(peak, high_water(folder))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    return peak


def with_cpu(command):
    """Standard output of a command, and its CPU seconds."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: {command[0]} ended with status {process.returncode}")
    return text, usage.ru_utime + usage.ru_stime


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_open(port, limit=10):
    deadline = time.monotonic() + limit
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError as last:
            if time.monotonic() > deadline:
                sys.exit(f"bench: the server did not open port {port} within {limit} s: {last}")
        time.sleep(0.02)


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} × {model[1] if model else os.uname().machine}, {memory:.0f} GiB, Linux {os.uname().release}; "
        f"load {os.getloadavg()[0]:.1f} before, "
    )


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the target is taken down
    binaries, ghz, out, runs = (*map(pathlib.Path, sys.argv[1:4]), int(sys.argv[4]))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    bench, where = Bench(binaries, ghz, out, runs), machine()
    known = ["cold", "warm", "suite", "clients"]
    parts = sys.argv[5:] or known
    if unknown := set(parts) - set(known):
        sys.exit(f"bench: unknown part {', '.join(sorted(unknown))}; known parts: {', '.join(known)}")
    if "cold" in parts:
        bench.cold()
    if {"warm", "suite"} & set(parts):
        with bench.target():
            for part in (part for part in ("warm", "suite") if part in parts):
                getattr(bench, part)()
    if "clients" in parts:
        bench.clients()
    bench.table()
    print(f"\n{where}{os.getloadavg()[0]:.1f} after.")


if __name__ == "__main__":
    main()
