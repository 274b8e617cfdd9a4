"""The first sweep file of someone who has images and wants to see a front."""

from collections.abc import Mapping
from pathlib import Path

from trainers.data.config import data_names
from trainers.networks.backbone_table import backbone_info

GOALS: Mapping[str, str] = {
    "size": "  accuracy: maximize\n  memory_bytes: minimize\n",
    "size and latency": (
        "  accuracy: maximize\n  memory_bytes: minimize\n  latency_ms: minimize\n"
    ),
    "size and robustness": (
        "  accuracy: maximize\n"
        "  memory_bytes: minimize\n"
        "  robust_accuracy: {direction: maximize, attack: pgd, epsilon: 8/255, steps: 10}\n"
    ),
}
"""Objectives as a sweep file has them, by what matters beside accuracy."""

_TEMPLATE = """\
# yaml-language-server: $schema={schema}
# Every key: docs/reference/sweep-file.md, or completion in an editor.
#
#   paretune check {file}     reads everything, trains nothing
#   paretune run {file}       goes on where it was, too
#   paretune front {name}
name: {name}
backbone: {{name: {backbone}, weights: {weights}}}
data: {data}
# Widths of FC layers and bits of weights: search_spaces/library/fc_quant.yaml
space: fc_quant
training: {{tune: head, epochs: 12}}
objectives:
{objectives}# Also train the network that nothing made smaller, to compare the others with.
reference: true
budget: {{trials: 32}}
seed: 0
"""


def first_file(
    *, file: str, data: str, backbone: str | None = None, goal: str = "size", schema: str
) -> str:
    """Write a sweep file that is valid and small enough to be run at once.

    >>> text = first_file(file="my.yaml", data="digits", schema="schema.json")
    >>> [line for line in text.splitlines() if line.startswith(("backbone", "data"))]
    ['backbone: {name: digitnet, weights: bundled}', 'data: {name: digits}']

    Args:
        file: Name of the file, from which the sweep has its own.
        data: A data set's name, the path of a folder, or that of an ``.npz`` file.
        backbone: Name of the backbone; by default `default_backbone`.
        goal: One of `GOALS`.
        schema: Place of the JSON schema, as an editor finds it from the file.

    Raises:
        ValueError: There is no such backbone.
    """
    backbone = backbone or default_backbone(data)
    return _TEMPLATE.format(
        schema=schema,
        file=file,
        name=Path(file).stem,
        backbone=backbone,
        # Bundled weights first: they need no download.
        weights=sorted(backbone_info(backbone).weights)[0],
        data=_data(data),
        objectives=GOALS[goal],
    )


def default_backbone(data: str) -> str:
    """Return the backbone that suits images of this kind.

    >>> default_backbone("digits"), default_backbone("my-pictures")
    ('digitnet', 'mobilenet_v2')
    """
    small = ("digits", "mnist", "fashion_mnist")
    return "digitnet" if data in small else "mobilenet_v2"


def _data(data: str) -> str:
    if data in data_names():
        return f"{{name: {data}}}"
    quoted = data.replace("'", "''")
    return f"{{{'npz' if data.endswith('.npz') else 'folder'}: '{quoted}'}}"
