"""How often the comparisons of a sweep were looked at: a line a look, beside its trials.

The only thing that a question writes. Kept in the state folder and not in the store, which a
person who looks may not be allowed to change.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from orchestrator.analysis.claim import Claim, Look
from orchestrator.queries.sweeps import Sweep
from orchestrator.spec.claim_section import parse_margin
from orchestrator.state_folder import StateFolder

_FILE = "looks.jsonl"


def asked(
    sweep: Sweep, *, keep: Sequence[str] | None, margin: str | None, alpha: float | None
) -> Claim:
    """What a person asks of a sweep; what is left open is as its file claims it.

    Raises:
        UsageError: The margin is no number and no number of points.
    """
    wanted = None if margin is None else parse_margin(margin)
    return Claim.asked(sweep.claim, keep=keep, margin=wanted, alpha=alpha)


def count_look(sweep: str, look: Look, state: StateFolder | None = None) -> Sequence[Look] | None:
    """Note a look, and give all different ones so far, oldest first.

    Args:
        sweep: Name of the sweep.
        look: What is compared now; a repetition is not a further one.
        state: By default the project's.

    Returns:
        None where nothing can be read or written, so that they cannot be counted.
    """
    path = (state or StateFolder.find()).sweep_folder(sweep) / _FILE
    try:
        looks = _read(path)
        if look not in looks:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(look)) + "\n")
            looks.append(look)
    except OSError:
        return None
    return looks


def _read(path: Path) -> list[Look]:
    """The looks of a file; a line that was cut off by a crash says nothing."""
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
