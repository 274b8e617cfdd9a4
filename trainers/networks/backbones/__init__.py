"""The convolutional parts of networks, pre-trained or not.

Names and sizes are known without torch; `build_backbone` loads it when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from trainers.networks.backbone_table import (
    BACKBONES,
    BackboneInfo,
    backbone_info,
    backbone_names,
)

if TYPE_CHECKING:
    from trainers.networks.backbones.building import Backbone, build_backbone

__all__ = [
    "BACKBONES",
    "Backbone",
    "BackboneInfo",
    "backbone_info",
    "backbone_names",
    "build_backbone",
]


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds; checking a name in a sweep file must not.
    if name in ("Backbone", "build_backbone"):
        from trainers.networks.backbones import building

        return getattr(building, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
