"""What one sweep needs: room for a trial, weights and images. Nothing is downloaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.doctor.finding import Finding, fine, wrong
from orchestrator.doctor.installation import TorchProbe
from orchestrator.errors import OrchestratorError
from orchestrator.execution.slots import Node, slots
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.spec.trial_sections import DataSection
from trainers.networks.backbone_table import WEIGHT_WORDS
from trainers.networks.backbones.weight_sources import find_weights

# The folders in the data root once a data set is there; torchvision's names (0.29).
DATA_PLACES: Mapping[str, str] = {
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "svhn": "train_32x32.mat",
    "stl10": "stl10_binary",
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "caltech101": "caltech101/101_ObjectCategories",
}

_WITHOUT_FILE = {
    "scratch": "none are needed: trained from scratch",
    "own": "its function returns them",
    "pretrained": "timm downloads them where its cache lacks them",
}


def examine_needs(
    spec: SweepSpec, nodes: Sequence[Node] | None, probe: TorchProbe
) -> list[Finding]:
    """Check whether trials fit the resources, and whether weights and images are there.

    Args:
        spec: The sweep.
        nodes: Nodes of the cluster, or this machine; None where the cluster does not answer, so
            that nothing is known of its slots.
        probe: Tells where torchvision caches the backbone's weights.
    """
    return [
        *([] if nodes is None else [_slots(spec, nodes)]),
        _weights(spec.backbone.name, spec.backbone.weights, probe),
        _images(spec.data),
    ]


def weights_to_try(spec: SweepSpec) -> tuple[str, str]:
    """Return the backbone and the file of its weights; no file if a word names them.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> weights_to_try(spec)
    ('digitnet', '')
    """
    weights = spec.backbone.weights
    is_word = weights in WEIGHT_WORDS or not Path(weights).expanduser().is_file()
    return spec.backbone.name, "" if is_word else weights


def _slots(spec: SweepSpec, nodes: Sequence[Node]) -> Finding:
    wanted, needs = spec.resources, spec.resources.as_needs()
    if spec.execution.autoscaling:
        detail = f"the cluster is to make room for {spec.execution.max_slots} trials, {needs} each"
        return fine("slots", detail)
    try:
        fitting = slots(nodes, needs)
    except OrchestratorError as error:
        fix = "Lower resources.cpus and resources.gpus in the sweep file, or use larger nodes."
        return wrong("slots", str(error), fix)
    gpus = sum(node.resources.get("GPU", 0.0) for node in nodes)
    idle = gpus if not wanted.gpus else 0.0
    hint = f"; {idle:g} GPUs stay idle (resources.gpus is 0)" if idle else ""
    return fine("slots", f"{fitting} trials at once, {needs} each{hint}")


def _weights(backbone: str, weights: str, probe: TorchProbe) -> Finding:
    name = f"weights of {backbone}"
    if weights in _WITHOUT_FILE:
        return fine(name, _WITHOUT_FILE[weights])
    if weights == "imagenet":
        return _cached_weights(name, backbone, probe)
    path = find_weights(backbone, weights).path
    fix = "Correct backbone.weights in the sweep file."
    if weights == "bundled":
        fix = "Install paretune again; the file belongs to the package."
    if path is None or not path.is_file():
        return _missing(name, path or Path(weights), fix)
    return wrong(name, probe.unfit, fix) if probe.unfit else fine(name, f"at {path}")


def _cached_weights(name: str, backbone: str, probe: TorchProbe) -> Finding:
    fetch = (
        f'Fetch them where there is internet: python -c "import torchvision; '
        f"torchvision.models.get_model('{backbone}', weights='DEFAULT')\""
    )
    if not probe.weights:
        fix = "Reinstall torchvision, or use weights: scratch or a path."
        return wrong(name, "torchvision could not be asked for them", fix)
    path = Path(probe.weights)
    return fine(name, f"cached at {path}") if path.is_file() else _missing(name, path, fetch)


def _images(data: DataSection) -> Finding:
    from trainers.data.named import data_root

    name = f"images of {data.label}"
    if data.name == "digits":
        return fine(name, "ship with scikit-learn")
    if data.dataset is not None:
        return fine(name, f"from {data.dataset}, which a check calls")
    if data.name is not None:
        path = data_root(data.root) / DATA_PLACES[data.name]
        fix = (
            "Copy them there, set PARETUNE_DATA or data.root to where they are, or let a run "
            "with internet download them."
        )
    else:
        path = Path(data.folder or data.npz or "").expanduser()
        fix = "Correct data.folder or data.npz in the sweep file."
    return fine(name, f"at {path}") if path.exists() else _missing(name, path, fix)


def _missing(name: str, path: Path, fix: str) -> Finding:
    return wrong(name, f"{path} does not exist", fix)
