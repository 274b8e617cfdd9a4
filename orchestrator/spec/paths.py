"""Paths in a sweep file are relative to its folder, those of options to the working directory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.addresses import anchored
from orchestrator.references import has_reference
from orchestrator.spec.run_sections import CACHE_WORDS, with_source, with_tracking
from orchestrator.spec.section import found_reference, with_kind, with_name
from trainers.doors import is_reference
from trainers.networks.backbone_table import is_weights_file
from trainers.networks.brought.registry import is_code

_PATHS = (
    *(("data", "folder"), ("data", "npz"), ("data", "dataset"), ("data", "root")),
    *(("backbone", "name"), ("backbone", "weights"), ("backbone", "verdict")),
    *(("sampler", "kind"), ("scheduler", "kind"), ("warm_start", "csv")),
    *(("execution", "cache"), ("warm_start", "optuna")),
    *(("quantization", "quantizer"), ("quantization", "sensitivity"), ("pruning", "criterion")),
)
_SPELLED_OUT: tuple[tuple[str, Callable[[object], object]], ...] = (
    ("warm_start", with_source),
    ("tracking", with_tracking),
    ("backbone", with_name),
    ("sampler", with_kind),
    ("scheduler", with_kind),
    ("execution", with_kind),
)
_ADDRESSES = (("tracking", "uri"), ("warm_start", "store"), ("warm_start", "mlflow"))
# May refer to variables, and are then known only where they are used.
_REFERRING = (*_ADDRESSES, ("execution", "cache"), ("warm_start", "optuna"))

_CODE = (
    *(("data", "dataset"), ("backbone", "name")),
    *(("sampler", "kind"), ("scheduler", "kind")),
    *(("quantization", "quantizer"), ("pruning", "criterion")),
)

FolderOf = Callable[[tuple[str, ...]], Path]


def with_paths(data: Mapping[str, Any], folder_of: FolderOf) -> dict[str, Any]:
    """Return `data` with its paths made absolute, also those in URLs of SQLite files.

    Args:
        data: A sweep file's content.
        folder_of: Returns the base folder of a relative path at a place.

    >>> with_paths({"data": {"folder": "images"}}, lambda place: Path("/sweeps"))["data"]
    {'folder': '/sweeps/images'}
    """
    resolved = dict(data)
    for key, spelled_out in _SPELLED_OUT:
        if key in resolved:
            resolved[key] = spelled_out(resolved[key])
    for place in (*_PATHS, *_ADDRESSES):
        section, key = place
        values = resolved.get(section)
        text = values.get(key) if isinstance(values, Mapping) else None
        if isinstance(text, str) and text:
            folder = folder_of(place)
            is_path = place in _PATHS and "://" not in text
            if place in _REFERRING and has_reference(text):
                continue
            made = _absolute(place, text, folder) if is_path else anchored(text, folder)
            resolved[section] = {**resolved[section], key: made}
    if isinstance(resolved.get("store"), str):
        resolved["store"] = anchored(resolved["store"], folder_of(("store",)))
    storage = resolved.get("storage")
    if (
        isinstance(storage, str)
        and storage
        and "://" not in storage
        and not has_reference(storage)
    ):
        folder = folder_of(("storage",))
        resolved["storage"] = str((folder / Path(storage).expanduser()).resolve())
    return resolved


def _absolute(place: tuple[str, str], text: str, folder: Path) -> str:
    if place in _CODE:
        is_own = is_reference(text) and is_code(text)
        return str(found_reference(text, folder)) if is_own else text
    is_word = (place[1] == "weights" and not is_weights_file(text)) or (
        place[1] == "cache" and text in CACHE_WORDS
    )
    return text if is_word else str((folder / Path(text).expanduser()).resolve())
