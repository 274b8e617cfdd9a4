"""Notes on the images of a sweep: how they were read, and which weights have seen them."""

from collections.abc import Mapping

from orchestrator.contracts import Prepared
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import SweepRecord
from trainers.networks.backbones.origins import seen_before


def data_notes(
    spec: SweepSpec, prepared: Prepared | None, before: SweepRecord | None
) -> list[str]:
    """Collect the warnings and notes on the images that are shown when a run begins.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> data_notes(spec, Prepared(notes=("2 copies were left out",)), None)
    ['2 copies were left out']
    """
    read = list(prepared.notes) if prepared else []
    if read and before is not None and "resize" not in _section(before.spec, "data"):
        read.append(
            f"warning: {spec.name!r} was begun by an earlier version, which knew no resize and no "
            f"copies: where a line above says that shapes or subsets were changed, its earlier "
            f"trials saw other images. Give it another --name to begin anew"
        )
    return [f"warning: {text}" for text in leaks(spec)] + read


def _section(spec: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = spec.get(name)
    return section if isinstance(section, Mapping) else {}


def leaks(spec: SweepSpec) -> list[str]:
    """Write a warning for each backbone whose weights are known to have seen the images.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> leaks(spec)
    []
    """
    data = spec.data_config()
    found = (seen_before(name, spec.backbone.weights, data) for name in spec.backbones)
    return [warning for warning in found if warning is not None]


def leaks_of_stored(spec: Mapping[str, object]) -> list[str]:
    """Write the warnings of `leaks` for a stored spec; none if this version cannot read it.

    >>> leaks_of_stored({"version": "of another time"})
    []
    """
    try:
        return leaks(SweepSpec.model_validate(spec))
    except ValueError:
        return []
