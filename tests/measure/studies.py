"""Studies as if they had run, with samples drawn from distributions."""

import numpy as np

from tests.measure.noise import times_ms
from workbench.measure.arm import Arm
from workbench.measure.plan import Plan
from workbench.measure.record import Failure
from workbench.measure.study import CONTROL, ArmResult, Start, Study
from workbench.measure.watch import Limits, Span

MACHINE = {
    "cpu": {
        "model": "Zeta 1",
        "physical_cores": 2,
        "logical_cores": 2,
        "usable_cores": 2,
    },
    "gpus": [],
    "libraries": {"torch": "2.11"},
    "driver": None,
    "workbench": {"version": "0.1.0", "git_revision": "abc"},
}
OTHER_MACHINE = {**MACHINE, "cpu": {**MACHINE["cpu"], "model": "Zeta 2"}}
CRASH = Failure("WorkerDied", "signal SIGKILL", "the last words")


def made(factors=None, *, rounds=60, seed=0, scale=1.0, failed=(), others_s=0.0, **changes):
    """A study whose arms take ``factors`` times as long as a baseline of ``100 * scale`` ms."""
    factors = {"baseline": 1.0, CONTROL: 1.0, **(factors or {"fast": 0.8})}
    rng = np.random.default_rng(seed)
    plan = Plan(trials=rounds)
    results = {}
    for name, factor in factors.items():
        count = 2 if name in failed else rounds
        times = scale * times_ms("normal", rounds, rng, factor)[:count]
        results[name] = ArmResult(
            Arm(name, "module:make", {"switch": name}),
            (Start(1.5, 0.5, 1 << 20),) * len(plan.parts),
            {"weights": "abc", "device": "cpu"},
            tuple(range(count)),
            tuple(number for number, part in enumerate(plan.parts) for _ in part)[:count],
            {"frame_ms": tuple(times), "rtf": tuple(times / 80)},
            CRASH if name in failed else None,
        )
    settings = {
        "name": "switches",
        "metric": "frame_ms",
        "plan": plan,
        "limits": Limits(),
        "results": results,
        "orders": (tuple(factors),) * rounds,
        "spans": (Span(0, rounds - 1, 100.0, others_s, 0.0),),
        "layout": "interleaved",
        "layout_reason": "all arms fit into memory side by side",
        "stopped": "all rounds were run",
        "started_utc": "2026-01-02T03:04:05+00:00",
        "duration_s": 12.5,
        "environment_before": MACHINE,
        "environment_after": {},
    }
    return Study(**{**settings, **changes})
