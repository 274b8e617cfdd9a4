"""How often the comparisons of a sweep were looked at: one line per look, beside its trials.

This is the only thing that a query writes. It is kept in the state folder and not in the store,
to which a reader may have no write access.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from orchestrator.analysis.claim import Claim, Look
from orchestrator.queries.sweeps import Sweep
from orchestrator.spec.claim_section import parse_margin
from orchestrator.state_folder import StateFolder, make_private

_FILE = "looks.jsonl"


def asked(
    sweep: Sweep, *, keep: Sequence[str] | None, margin: str | None, alpha: float | None
) -> Claim:
    """Build the claim that the user asks about; what is not given is as the sweep file claims.

    Raises:
        UsageError: The margin is neither a number nor a number of points.

    >>> from types import SimpleNamespace
    >>> nothing_claimed = SimpleNamespace(claim=None)
    >>> claim = asked(nothing_claimed, keep=None, margin="3 points", alpha=None)
    >>> claim.keep, claim.margin, claim.alpha
    (('accuracy',), 0.03, 0.05)
    """
    wanted = None if margin is None else parse_margin(margin)
    return Claim.asked(sweep.claim, keep=keep, margin=wanted, alpha=alpha)


def count_look(sweep: str, look: Look, state: StateFolder | None = None) -> Sequence[Look] | None:
    """Record a look, and return all distinct looks so far, oldest first.

    Args:
        sweep: Name of the sweep.
        look: The current look; a repetition is not counted again.
        state: The state folder; by default the project's.

    Returns:
        None if the file cannot be read or written, so that looks cannot be counted.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> look = Look(("accuracy",), 0.02, 0.05, "memory_bytes", 48)
    >>> with TemporaryDirectory() as folder:
    ...     [len(count_look("digits", look, StateFolder(Path(folder)))) for _ in range(2)]
    [1, 1]
    """
    path = (state or StateFolder.find()).sweep_folder(sweep) / _FILE
    try:
        looks = _read(path)
        if look not in looks:
            make_private(path.parent)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(look)) + "\n")
            looks.append(look)
    except OSError:
        return None
    return looks


def _read(path: Path) -> list[Look]:
    """Read the looks in a file; a line that was cut off by a crash is skipped."""
    looks = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        try:
            found = json.loads(line)
            look = Look(**{**found, "keep": tuple(found["keep"])})
        except (ValueError, TypeError, KeyError):
            continue
        looks += [look] if look not in looks else []
    return looks
