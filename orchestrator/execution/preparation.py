"""What is done once for a whole sweep, before its first trial."""

import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.contracts import Prepared
from orchestrator.execution.task import Task
from orchestrator.spec.code_content import with_alone
from orchestrator.state_folder import node_folder
from trainers.data.config import DataConfig
from trainers.doors import file_digest, is_reference, reference_digest, take_note, write_code
from trainers.errors import DataError
from trainers.files.predictions import labels_digest
from trainers.networks.backbone_table import FIXED_WORDS, backbone_info
from trainers.networks.brought.registry import is_code
from trainers.networks.shapes import BackboneShapes

if TYPE_CHECKING:
    from trainers.data import ImageData

# Nothing can be wrong with these; trying other weights takes torch, which takes seconds to load.
_SAFE_WEIGHTS = ("bundled", "scratch")


def take_in(task: Task) -> None:
    """Make the user's own code of a sweep known to this process, wherever it runs.

    Raises:
        OSError: It is not here, and cannot be written here.
        ValueError: The backbone's breaks a promise.
    """
    write_code(task.code, node_folder("code"))
    # From now on a packed network finds it by its content, and so do configs of trials.
    for reference in task.parts:
        take_note(reference)
    backbone_info(task.backbone["name"])


def prepare(task: Task) -> "ImageData":
    """Read the images, and refuse weights that no trial could load.

    Raises:
        TrainerError: The images, the weights or the stage cache cannot be used; the message
            names the file or the URL.
    """
    from trainers.data import load_data

    take_in(task)
    data = _on_this_machine(task.data)
    if task.cache is not None and "://" in task.cache:
        from trainers.stages.backends import open_backend

        open_backend(task.cache)
    if task.backbone["weights"] not in _SAFE_WEIGHTS:
        from trainers.networks.backbones import build_backbone

        build_backbone(**task.backbone)
    return load_data(data)


def images_here(data: "ImageData", task: Task) -> "ImageData":
    """Return the images for this machine, decoded here if they lie in a file of another one.

    Raises:
        DataError: Their source is not here, or gives other images.
    """
    from trainers.data import load_data
    from trainers.data.mapped import mapped_of

    mapped = mapped_of(data.train_images)
    if mapped is None or mapped.is_here:
        return data
    found = load_data(_on_this_machine(task.data))
    if found.content() != data.content():
        raise DataError(
            f"The images of {data.name} on {socket.gethostname()} are not those that the sweep "
            f"was prepared with on another machine. Give every machine the same files."
        )
    return found


def _of_all(task: Task, digest_of: Callable[[str], str]) -> str:
    digests = {name: digest_of(each) for name, each in task.functions.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _on_this_machine(config: DataConfig) -> DataConfig:
    """Return the config with a folder for decoded images that this machine has."""
    given = config.images_folder
    # Within the state folder, which a driver on another machine has.
    if given is None or Path(given).parent.parent.is_dir():
        return config
    return replace(config, images_folder=str(node_folder("images")))


def found_out(task: Task, data: "ImageData") -> Prepared:
    """Collect what the driver must know of images and backbones; loads torch only if needed."""
    backbones: dict[str, BackboneShapes] = {}
    if task.sized:
        from trainers.networks.backbones.shapes import backbone_shapes

        backbones = {name: backbone_shapes(name) for name in task.sized}
    return Prepared(tuple(data.classes), backbones, data.notes, _content(task, data))


def _content(task: Task, data: "ImageData") -> dict[str, str]:
    """Digests of what the sweep learns from: files of equal content are interchangeable."""
    content = {"data": data.content(), "labels": labels_digest(data.val_labels)}
    if task.functions:
        content |= with_alone(
            "functions", _of_all(task, reference_digest), _of_all(task, file_digest)
        )
    name = task.backbone["name"]
    if is_code(name):
        digest = backbone_info(name).name.partition("#")[2]
        alone = file_digest(name)[: len(digest)] if is_reference(name) else digest
        content |= with_alone("code", digest, alone)
    if task.backbone["weights"] not in FIXED_WORDS:
        from trainers.networks.backbones import build_backbone
        from trainers.stages.weights import content_digest

        content["weights"] = content_digest(build_backbone(**task.backbone).features)
    return content
