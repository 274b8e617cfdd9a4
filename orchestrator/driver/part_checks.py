"""Quantizers, criteria and attacks of a user's own are called once, and are part of a sweep."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.contracts import Prepared
from orchestrator.driver.function_checks import shown_images, unchanged, untrained
from orchestrator.spec.code_content import with_code
from orchestrator.spec.own_parts import FRONT, own_parts
from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import Choice, Int
from trainers.doors import DoorError, say_if_slow
from trainers.networks.brought.registry import try_brought_step
from trainers.quantization.config import FLOAT_BITS

if TYPE_CHECKING:
    from trainers.data import ImageData

_USUAL_BITS = 4


def check_parts(spec: SweepSpec, data: "ImageData | None") -> tuple[list[str], list[str]]:
    """Call each part of a user's own once: on random weights, or on two images.

    Args:
        spec: The sweep.
        data: Its images; None if they are not here, so that attacks are not called.

    Returns:
        What each did, and why others cannot be used, as sentences.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from orchestrator.spec.files import load_sweep
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_quantizer.py")
    ...     _ = file.write_text("one = lambda values, bits: values.mean(dim=1)")
    ...     own = f"quantization.quantizer={file}:one"
    ...     check_parts(load_sweep("examples/sweeps/digits.yaml", settings=[own]), None)[1]
    ['quantization.quantizer: my_quantizer:one#...(8,); 8 rows of 1 to ... are needed.']
    """
    lines: list[str] = []
    problems: list[str] = []
    for place, (kind, reference) in own_parts(spec).items():
        try:
            with say_if_slow(f"{place}: {reference}"):
                said = _tried(spec, data, place, kind, reference)
            if said:
                lines.append(f"{place}: {reference} {said}")
        except DoorError as error:
            problems.append(f"{place}: {error}")
    return lines, problems


def step_problems(spec: SweepSpec, name: str) -> list[str]:
    """Try a step of training with a backbone of a user's own, if steps of the sweep change it.

    Args:
        spec: The sweep.
        name: One of its backbones; one of ours has no problems.

    Returns:
        Why it cannot be trained, as sentences.

    >>> from orchestrator.spec.files import load_sweep
    >>> step_problems(load_sweep("examples/sweeps/digits.yaml"), "digitnet")
    []
    """
    if spec.training.tune == "head":
        return []
    try:
        try_brought_step(name)
    except DoorError as error:
        return [str(error)]
    return []


def with_parts_code(spec: SweepSpec, prepared: Prepared | None) -> Prepared | None:
    """Add the digest of the parts of a user's own to what identifies a sweep.

    Those that are measured of the front alone may be added to a sweep later, and do not count.

    >>> with_parts_code(None, None) is None
    True
    """
    if prepared is None or not prepared.content:
        return prepared
    parts = {
        place: reference
        for place, (_, reference) in own_parts(spec).items()
        if not place.startswith(f"{FRONT}.")
    }
    if not parts:
        return prepared
    return with_code(
        prepared, "parts", lambda of: _digest({place: of(each) for place, each in parts.items()})
    )


def _digest(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _tried(
    spec: SweepSpec, data: "ImageData | None", place: str, kind: str, reference: str
) -> str:
    """Call a part; what it did, in words, and empty if it was not called."""
    # What they import loads torch.
    if kind == "quantizers":
        from trainers.quantization.own import try_quantizer

        counts = {bits: try_quantizer(reference, bits) for bits in sorted(set(_bits(spec)))}
        shown = ", ".join(f"{count} at {bits} bits" for bits, count in counts.items())
        return f"places levels: {shown}"
    if kind == "criteria":
        from trainers.pruning.own import try_criterion

        return try_criterion(reference, tune=spec.training.tune)
    if data is None:
        return ""
    from trainers.evaluators.attacks import try_attack

    section, name, _ = place.split(".")
    attack = getattr(spec, section)[name].as_attack()
    network = untrained(spec, data)
    with unchanged(network, reference):
        moved = try_attack(network, *shown_images(data), attack)
    return f"moves two images by up to {moved:.4g} in {attack.norm}"


def _bits(spec: SweepSpec) -> Iterator[int]:
    """Yield the bits at which weights may be quantized, those at the ends of a range."""
    given = [spec.quantization.bits, spec.quantization.fc_bits]
    given += (spec.quantization.layers or {}).values()
    for name, domain in spec.search_space.domains.items():
        if name in ("bits", "fc_bits") or name.startswith("bits_"):
            given += [int(each) for each in domain.options] if isinstance(domain, Choice) else []
            given += [domain.low, domain.high] if isinstance(domain, Int) else []
    yield from [each for each in given if each != FLOAT_BITS] or [_USUAL_BITS]
