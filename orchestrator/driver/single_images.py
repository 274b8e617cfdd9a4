"""Batches of one image, which batch norms on maps of one pixel cannot be trained on."""

from itertools import product

from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import Choice, Value


def refused_single_images(spec: SweepSpec) -> tuple[list[str], bool]:
    """Find the trainings of a sweep that fail because a step sees one image, and if all do.

    torch is loaded only if a step may see one image at all: a single image that remains at the
    end of an epoch is added to the batch before it.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> refused_single_images(spec)
    ([], False)
    """
    sizes = _values(spec, "batch_size", spec.training.batch_size)
    freezes = _values(spec, "freeze_batch_norm", bool(spec.training.freeze_batch_norm))
    # Frozen batch norms need no variance of a batch.
    if min(map(float, sizes)) > 1 or set(freezes) == {True}:
        return [], False
    from trainers.training.single_images import learns_from_single_images

    tunes = [str(tune) for tune in _values(spec, "tune", spec.training.tune)]
    side = spec.backbone.image_size
    found, learns = [], []
    for backbone, tune in product(spec.backbones, tunes):
        try:
            learns.append(learns_from_single_images(backbone, tune, image_size=side))
        except ValueError:
            # An invalid network is reported where sizes are computed.
            continue
        if not learns[-1]:
            found.append(
                f"batch_size 1 with tune {tune}: {backbone} has batch norms on maps of one pixel, "
                f"which need two images a step. Begin batch_size at 2, use tune: head, larger "
                f"images (backbone.image_size), or freeze_batch_norm."
            )
    none_learns = not any(learns) and True not in freezes
    return found, none_learns and {float(size) for size in sizes} == {1.0}


def _values(spec: SweepSpec, name: str, fixed: Value) -> tuple[Value, ...]:
    """What a parameter may be: every choice, or the ends of its range."""
    domain = spec.search_space.domains.get(name)
    if domain is None:
        return (fixed,)
    return tuple(domain.values()) if isinstance(domain, Choice) else (domain.low, domain.high)
