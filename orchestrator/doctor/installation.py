"""Python and the packages that decide whether anything runs."""

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from orchestrator.doctor.finding import Finding, fine, wrong
from trainers.doors import KINDS, DoorError, reference_digest

_DISTRIBUTION = "paretune"
_LOOKED_AT = ("ray", "torch", "torchvision", "optuna", "mlflow", "sqlalchemy")
_PROBE_S = 180.0
_PARTS = "parts of packages"
# In a process of its own: a broken build may crash the interpreter, and importing both takes
# seconds and hundreds of megabytes. `nms` is the operator that is missing from a torchvision built
# for another torch.
_PROBE = """
import json, os, sys
import torch
found = {"torch": torch.__version__, "gpus": torch.cuda.device_count()}
try:
    import torchvision
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    found["torchvision"] = torchvision.__version__
    if hasattr(torchvision.models, sys.argv[1]):
        url = torchvision.models.get_model_weights(sys.argv[1]).DEFAULT.url
        found["weights"] = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(url))
except Exception as error:
    found["error"] = f"{type(error).__name__}: {error}"
if sys.argv[2] and "error" not in found:
    from trainers.errors import TrainerError
    from trainers.networks.backbones.weight_sources import check_weights
    try:
        check_weights(sys.argv[1], sys.argv[2])
    except TrainerError as error:
        found["unfit"] = str(error)
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class TorchProbe:
    """The output of a process that imported torch and torchvision.

    Attributes:
        torch: Version of torch; empty if it cannot be imported.
        torchvision: Version of torchvision; empty if it cannot be used.
        gpus: CUDA devices that torch sees.
        weights: Where torchvision caches the ImageNet weights of the backbone that was asked
            for; empty if it has none.
        error: Why torch or torchvision cannot be used; empty if they can.
        unfit: Why the weights that were given do not fit the backbone; empty if they do.
    """

    torch: str = ""
    torchvision: str = ""
    gpus: int = 0
    weights: str = ""
    error: str = ""
    unfit: str = ""


def probe_torch(backbone: str | None, weights: str = "") -> TorchProbe:
    """Import torch and torchvision in a process of its own.

    Args:
        backbone: Also report where the ImageNet weights of this network are cached.
        weights: Also try to load this file of its weights.
    """
    # -P: a folder in the working directory must not shadow a package.
    command = [sys.executable, "-P", "-c", _PROBE, backbone or "", weights]
    try:
        ended = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=_PROBE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return TorchProbe(error=f"importing them took more than {_PROBE_S:g} s")
    if ended.returncode != 0:
        last = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
        return TorchProbe(error=last[-1])
    return TorchProbe(**json.loads(ended.stdout.splitlines()[-1]))


def examine_torch(probe: TorchProbe) -> Finding:
    """Check whether torch and torchvision work together.

    >>> examine_torch(TorchProbe(error="No module named 'torch'")).ok
    False
    """
    name = "torch with torchvision"
    if not probe.error:
        return fine(name, f"{probe.torch} and {probe.torchvision} work; {probe.gpus} GPUs")
    if not probe.torch:
        fix = "Install this project again: pip install --force-reinstall torch torchvision"
    else:
        fix = (
            "Install torch and torchvision again in one command and from one index, so that both "
            "are CPU-only builds or both are CUDA builds: pip install --force-reinstall torch "
            "torchvision [--index-url URL]"
        )
    return wrong(name, probe.error, fix)


def examine_versions() -> list[Finding]:
    """Check Python and the packages against this distribution's own metadata."""
    try:
        needed = [Requirement(text) for text in requires(_DISTRIBUTION) or ()]
        wanted_python = metadata(_DISTRIBUTION)["Requires-Python"] or ""
    except PackageNotFoundError:
        fix = "Install it, from the folder that holds pyproject.toml: pip install -e ."
        return [wrong(_DISTRIBUTION, "is not installed in this environment", fix)]
    ranges = {each.name: each.specifier for each in needed if each.marker is None}
    return [
        _python(SpecifierSet(wanted_python)),
        *(_package(name, ranges[name]) for name in _LOOKED_AT if name in ranges),
    ]


def examine_parts() -> list[Finding]:
    """Check the code that installed packages ship for sweep files; empty if none ships any.

    >>> [finding.ok for finding in examine_parts()]
    []
    """
    findings, listed = [], defaultdict[str, list[str]](list)
    for kind in sorted(KINDS):
        for point in sorted(entry_points(group=f"paretune.{kind}"), key=lambda each: each.name):
            package = f"{point.dist.name} {point.dist.version}" if point.dist else point.module
            try:
                reference_digest(point.value)
            except DoorError:
                fix = f"Install {package} again, or ask its authors: it names {point.value}."
                said = f"{package} ships {kind} {point.name}, whose module cannot be found"
                findings.append(wrong(_PARTS, said, fix))
            else:
                listed[package].append(f"{kind} {point.name}")
    shown = "; ".join(f"{package}: {', '.join(parts)}" for package, parts in listed.items())
    return [*([fine(_PARTS, shown)] if shown else []), *findings]


def _python(wanted: SpecifierSet) -> Finding:
    here = "{}.{}.{}".format(*sys.version_info[:3])
    fix = f"Make a new environment with a Python {wanted}, and install paretune there."
    return _compared("Python", here, wanted, fix)


def _package(name: str, wanted: SpecifierSet) -> Finding:
    fix = f"Install a version in the range: pip install '{name}{wanted}'"
    try:
        return _compared(name, version(name), wanted, fix)
    except PackageNotFoundError:
        return wrong(name, f"is not installed; {wanted} is needed", fix)


def _compared(name: str, here: str, wanted: SpecifierSet, fix: str) -> Finding:
    if wanted.contains(here, prereleases=True):
        return fine(name, f"{here} (needs {wanted})")
    return wrong(name, f"{here}, but {wanted} is needed", fix)
