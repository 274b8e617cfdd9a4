"""The breaking machine: a fault, the same command until it succeeds, and what must be true then.

python -m tests.faults.machine --runs 60
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.faults import FAULTS
from tests.faults.invariants import Values, values_of, violations
from tests.faults.testbed import FaultError, PromiseBrokenError, Testbed


@dataclass
class Tally:
    """How often a fault was tried, and what it broke."""

    runs: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    not_made: int = 0
    reason: str = ""


def undisturbed(folder: Path) -> Values:
    """What the sweep measures when nothing happens to it, not even a start of Ray."""
    testbed = Testbed(folder, random.Random(0))
    try:
        code = testbed.wait(testbed.driver(settings=("execution.kind=inline",)))
        if code != 0:
            raise FaultError(f"the sweep fails without any fault: {testbed.said()}")
        return values_of(testbed)
    finally:
        testbed.end()


def broken(name: str, seed: int, folder: Path, expected: Values) -> list[str]:
    """Run one fault; the promises that it broke.

    Raises:
        FaultError: The fault cannot be made on this machine.
    """
    # The fault is part of the seed, so that the tenth run of each hits another moment.
    testbed = Testbed(folder, random.Random(f"{name} {seed}"))
    try:
        FAULTS[name](testbed)
        code = testbed.finish()
        if code != 0:
            return [f"the same command ends with {code}: {testbed.said()[-2000:]}"]
        if any(words in testbed.said() for words in ("Traceback", '.py", line')):
            return [f"a traceback was printed: {testbed.said()[-3000:]}"]
        if (code := testbed.sync()) != 0:
            return [f"paretune sync ends with {code}: {testbed.said()[-2000:]}"]
        return violations(testbed, expected)
    except PromiseBrokenError as error:
        return [str(error)]
    finally:
        testbed.end()


def tallied(
    root: Path, runs: int, first_seed: int, names: Sequence[str], tallies: dict[str, Tally]
) -> None:
    """Run faults in turn and count them; what is left in `root` are runs that broke a promise."""
    expected = undisturbed(root / "undisturbed")
    shutil.rmtree(root / "undisturbed")
    for number in range(runs):
        name, seed = names[number % len(names)], first_seed + number // len(names)
        began = time.monotonic()
        folder = root / f"{name}-{seed}"
        try:
            found = broken(name, seed, folder, expected)
        except FaultError as error:
            tally = tallies[name]
            tally.not_made += 1
            tally.reason = str(error).partition("\n")[0]
            print(f"{name} {seed}: cannot be made here: {error}", flush=True)
            continue
        tally = tallies[name]
        tally.runs += 1
        tally.seconds += time.monotonic() - began
        tally.violations += found
        print(f"{name} {seed}: {'; '.join(found) or 'ok'}", flush=True)
        if not found:
            shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run faults in turn and print a table; 1 if a promise was broken.

    A run that is ended by a signal prints the table of what it did.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=len(FAULTS))
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--only", choices=FAULTS, action="append", help="this fault alone")
    parser.add_argument("--keep", type=Path, help="folder for the runs that broke a promise")
    options = parser.parse_args(arguments)
    # As after Ctrl-C, every `finally` on the way out ends what it began.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    root = Path(tempfile.mkdtemp(prefix="paretune-faults-"))
    tallies: dict[str, Tally] = defaultdict(Tally)
    try:
        tallied(root, options.runs, options.seed, options.only or list(FAULTS), tallies)
    finally:
        if options.keep:
            shutil.copytree(root, options.keep, dirs_exist_ok=True)
        shutil.rmtree(root, ignore_errors=True)
        print(f"\n{table(tallies)}", flush=True)
    return int(any(tally.violations for tally in tallies.values()))


def table(tallies: dict[str, Tally]) -> str:
    """Markdown: a line a fault, and why some could not be made."""
    lines = ["| fault | what it is | runs | violations | mean time |", "|---|---|---|---|---|"]
    for name, tally in tallies.items():
        what = (FAULTS[name].__doc__ or "").partition("\n")[0].rstrip(".")
        mean = f"{tally.seconds / tally.runs:.0f} s" if tally.runs else ""
        lines.append(f"| {name} | {what} | {tally.runs} | {len(tally.violations)} | {mean} |")
    runs = sum(tally.runs for tally in tallies.values())
    total = sum(len(tally.violations) for tally in tallies.values())
    lines.append(f"| **all** | | **{runs}** | **{total}** | |")
    for name, tally in tallies.items():
        if tally.not_made:
            lines.append(f"\n{name} could not be made {tally.not_made} times: {tally.reason}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
