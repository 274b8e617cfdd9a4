"""What strangers can hand us, and the only errors they may see for it.

Each target takes bytes. Whatever those are, it returns or raises one of `REFUSALS`; it never takes
long, and it writes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.fronts.filters import Filter
from orchestrator.spec.files import load_sweep
from search_spaces import SpaceError, load_space
from search_spaces.errors import FileProblems
from trainers.artifact import load_artifact, read_header
from trainers.errors import ArtifactError

REFUSALS = (OrchestratorError, SpaceError, FileProblems, ArtifactError)
_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """Something that reads what strangers wrote.

    Attributes:
        read: Reads bytes; may use the file, which holds them.
        seeds: Inputs that are right, to be spoilt.
    """

    read: Callable[[bytes, Path], object]
    seeds: tuple[bytes, ...]


def _sweep(_: bytes, file: Path) -> None:
    load_sweep(file)


def _space(_: bytes, file: Path) -> None:
    space = load_space(file)
    space.size, space.names  # noqa: B018 - the first look at them computes them


def _where(data: bytes, _: Path) -> None:
    wanted = Filter.parse(data.decode("utf-8", "surrogateescape"))
    wanted.keep({"accuracy": 0.5, "state": "complete", "bits": 4})


def _artifact(_: bytes, file: Path) -> None:
    read_header(file)
    load_artifact(file)


def targets(artifact: bytes) -> Mapping[str, Target]:
    """All of them.

    Args:
        artifact: A packed network as it should be.
    """
    sweeps = sorted((_REPOSITORY / "examples" / "sweeps").glob("*.yaml"))
    spaces = sorted((_REPOSITORY / "search_spaces" / "library").glob("*.yaml"))
    return {
        "sweep.yaml": Target(_sweep, tuple(path.read_bytes() for path in sweeps)),
        "space.yaml": Target(_space, tuple(path.read_bytes() for path in spaces)),
        "where.txt": Target(
            _where,
            (
                b"accuracy >= 0.9 and memory_bytes < 200kB",
                b"state == 'complete' and (bits in (2, 4) or not epochs > 3)",
                b'params.tune != "head" and robust_accuracy >= 1/3',
            ),
        ),
        "model.safetensors": Target(_artifact, (artifact,)),
    }
