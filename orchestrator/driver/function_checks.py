"""Functions of a user's own are called once before a sweep runs, on two images of two classes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.spec.sweep_spec import SweepSpec
from trainers.doors import DoorError, call_measure, say_if_slow

if TYPE_CHECKING:
    from trainers.data import ImageData

_IMAGES = 2


def check_functions(spec: SweepSpec, data: "ImageData") -> tuple[list[str], list[str]]:
    """Call each function with the sweep's full-size network, untrained, and two images.

    They are of different classes: some measures are not defined on a single one.

    Returns:
        What each returned, and why others cannot be used, as sentences.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from orchestrator.spec.files import load_sweep
    >>> from trainers.data.loading import load_data
    >>> code = "classes = lambda network, images, labels: 'ten'"
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_metric.py")
    ...     _ = file.write_text(code)
    ...     own = f"objectives.classes={{function: '{file}:classes', direction: minimize}}"
    ...     spec = load_sweep("examples/sweeps/digits.yaml", settings=[own])
    ...     check_functions(spec, load_data(spec.data_config()))
    ([], ["classes: ...returned 'ten'; a number is needed."])
    """
    lines: list[str] = []
    problems: list[str] = []
    if not spec.functions:
        return lines, problems
    network, (images, labels) = untrained(spec, data), shown_images(data)
    for name, reference in spec.functions.items():
        try:
            with say_if_slow(f"{name}: {reference}"), unchanged(network, reference):
                value = call_measure(reference, network, images, labels)
        except DoorError as error:
            problems.append(f"{name}: {error}")
        else:
            lines.append(f"{name}: {reference} gives {value:.4g} on an untrained network")
    return lines, problems


@contextmanager
def unchanged(network: Any, reference: str) -> Iterator[None]:
    """Refuse code that changes the network that it is called with, and undo that.

    Raises:
        DoorError: The message names what was changed.

    >>> from torch import nn
    >>> with unchanged(nn.Linear(1, 1).eval(), "my_metric:size"):
    ...     pass
    """
    before = {key: value.clone() for key, value in network.state_dict().items()}
    yield
    changed = [key for key, value in network.state_dict().items() if not value.equal(before[key])]
    was_left_in_train_mode = network.training
    network.load_state_dict(before)
    network.eval()
    if changed or was_left_in_train_mode:
        what = f"changed its {changed[0]}" if changed else "left it in train mode"
        raise DoorError(
            f"{reference} was called with a network, and {what}: what is measured next would be "
            f"another network. Let it work on a copy (copy.deepcopy)."
        )


def untrained(spec: SweepSpec, data: "ImageData") -> Any:
    """Build the sweep's full-size network with random weights, in eval mode.

    >>> from orchestrator.spec.files import load_sweep
    >>> from trainers.data.loading import load_data
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> untrained(spec, load_data(spec.data_config())).spec.classes
    10
    """
    from trainers.networks.network import build_network

    config = spec.reference_config()
    return build_network(
        config.backbone,
        weights="scratch",
        widths=config.head_widths(len(data.classes)),
        classes=len(data.classes),
    ).eval()


def shown_images(data: "ImageData") -> tuple[Any, Any]:
    """Return the first images of two classes, and their labels.

    >>> from trainers.data import DataConfig
    >>> from trainers.data.loading import load_data
    >>> len(shown_images(load_data(DataConfig(name="digits")))[1])
    2
    """
    import numpy as np

    chosen = np.sort(np.unique(data.val_labels, return_index=True)[1])[:_IMAGES]
    return data.val_images[chosen], data.val_labels[chosen]
