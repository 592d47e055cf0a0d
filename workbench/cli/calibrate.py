"""``workbench calibrate``: how often verdicts are wrong here, and what they find."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from workbench.studies.ablation import defaults


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Adds the command's options."""
    command: argparse.ArgumentParser = commands.add_parser(
        "calibrate",
        help="check the measuring instrument: false verdicts, and a slow-down it must find",
        description="Runs studies whose answer is known: without any difference (A/A), and with "
        "an arm slowed down by 3 %.\nSimulated ones take a second, a real one of csm-nano about "
        "two minutes on a quiet machine.",
        epilog="examples:\n  workbench calibrate --real 0\n"
        "  workbench calibrate --real 20 --out outputs/calibration --json\n"
        "\nRun again with the same --out, it goes on where it was interrupted.\n",
    )
    command.add_argument(
        "--simulated", type=int, default=200, metavar="N",
        help="simulated studies of each case (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--real", type=int, default=20, metavar="N", help="real studies (default: %(default)s)"
    )
    command.add_argument(
        "--engine", default="csm-nano", help="what real studies speak with (default: %(default)s)"
    )
    command.add_argument(
        "--trials", type=int, default=120, help="rounds of a study (default: %(default)s)"
    )
    command.add_argument(
        "--starts", type=int, default=defaults.CALIBRATION_STARTS,
        help="processes each arm goes through (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--passes", type=int, default=defaults.CALIBRATION_PASSES,
        help="texts each arm speaks in a round, in turns (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, help="folder of the records (default: outputs/calibration)"
    )
    return command


def execute(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Calibrates; exit code 0 whatever the rates are: they are what was asked for."""
    from workbench.measure.plan import Plan
    from workbench.measure.record import outputs_dir
    from workbench.studies.calibration import calibrate

    found = calibrate(
        options.out or outputs_dir() / "calibration",
        simulated=options.simulated,
        real=options.real,
        engine=options.engine,
        plan=Plan(trials=options.trials, starts=options.starts, passes=options.passes),
        progress=lambda words: print(words, file=sys.stderr, flush=True),
    )
    if not options.json:
        for case in found.simulated:
            print(
                f"noise {case.noise:.1%}, processes {case.process_spread:.1%}: false verdicts "
                f"{case.false_verdicts}, SAME {case.same}, slow-down found {case.found}"
            )
        disturbed = len(found.real.studies) - len(found.real.quiet)
        print(
            f"real: false verdicts {found.real.false_verdicts}, slow-down found "
            f"{found.real.found}, {disturbed} studies disturbed\n{found.path}"
        )
    return found.summary(), 0
