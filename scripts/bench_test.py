import unittest

from bench import apply_to_verdict, in_steps, judged_ms


def started(at_ms, step, what):
    return {"event": "step-started", "at_ms": at_ms, "step": step, "what": what}


def ended(at_ms, step, id="a", ms=0):
    return {"event": "step-ended", "at_ms": at_ms, "step": step, "id": id, "ms": ms}


class ApplyToVerdict(unittest.TestCase):
    def test_spans(self):
        probe = [started(40, 2, "probe spread"), ended(90, 2)]
        for name, events, wanted in [
            ("nothing", [], []),
            ("an apply and the step after it", [started(10, 1, "apply istio"), ended(40, 1), *probe], [80]),
            ("only the step after it", [started(10, 1, "apply istio"), ended(40, 1), *probe, ended(95, 3)], [80]),
            ("no apply", probe, []),
            ("an apply at the end", [started(10, 1, "apply istio"), ended(40, 1)], []),
            (
                "every scenario has its own",
                [
                    started(10, 1, "apply a"),
                    ended(40, 1),
                    *probe,
                    started(100, 1, "apply a"),
                    ended(120, 1),
                    ended(130, 2),
                ],
                [80, 30],
            ),
            (
                "the last of two applies",
                [started(10, 1, "apply a"), ended(20, 1), started(20, 2, "apply b"), ended(40, 2), ended(60, 3)],
                [40],
            ),
        ]:
            with self.subTest(name):
                self.assertEqual(apply_to_verdict(events), wanted)


class JudgedMs(unittest.TestCase):
    def test_from_ready_to_the_last_verdict_in_whatever_order(self):
        ready = {"event": "target-ready", "at_ms": 1000}
        ends = [{"event": "scenario-ended", "at_ms": at} for at in (3500, 4200, 4100)]
        self.assertEqual(judged_ms([{"event": "run-started", "at_ms": 0}, ready, *ends]), 3200)

    def test_a_run_without_a_verdict_has_no_figure(self):
        with self.assertRaises(ValueError):
            judged_ms([{"event": "target-ready", "at_ms": 1}])


class InSteps(unittest.TestCase):
    def test_only_this_scenarios_steps(self):
        events = [ended(1, 1, "a", 30), ended(2, 1, "b", 99), started(3, 2, "probe"), ended(4, 2, "a", 50)]
        self.assertEqual(in_steps(events, "a"), [30, 50])
        self.assertEqual(in_steps(events, "c"), [])


if __name__ == "__main__":
    unittest.main()
