"""Reading weights from files, without unpickling anything but tensors."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trainers.errors import WeightsError
from trainers.networks.backbone_table import WEIGHT_ENDINGS, is_weights_file

_SHOWN = 4
# Keys under which a checkpoint keeps the state dict among other things.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# Prefixes that DataParallel, torch.compile and an enclosing network add to every name; the
# wrappers too, since a safetensors file has no mappings. Counters and optimizer states have other
# names and are dropped.
_PREFIXES = ("module.", "_orig_mod.", *(f"{wrapper}." for wrapper in _WRAPPERS))
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Read a `.safetensors` file, or a `.pth` file that holds nothing but tensors.

    A checkpoint's wrapper around the state dict and a common prefix of its names are removed.

    Raises:
        WeightsError: The file is absent, broken, of another kind, or holds other Python objects.

    >>> read_state(Path("absent.safetensors"))
    Traceback (most recent call last):
    trainers.errors.WeightsError: weights file absent.safetensors does not exist, or is not a file.
    """
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist, or is not a file.")
    if path.suffix.lower() == ".safetensors":
        try:
            return _unwrapped(load_file(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(
                f"weights file {path} is truncated or is not a safetensors file ({error}). Copy "
                f"or download it again."
            ) from error
    if is_weights_file(path.name):
        return _read_torch(path)
    raise WeightsError(
        f"weights file {path} has an unknown extension; known are {', '.join(WEIGHT_ENDINGS)}. A "
        f"file of another kind is not opened, because a pickle could run any program."
    )


def _read_torch(path: Path) -> Mapping[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # torch warns of a pickle protocol that it did not write itself, before it refuses.
            warnings.simplefilter("ignore", UserWarning)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights file {path} is broken, or is a pickle that holds more than tensors; it was "
            f"not loaded, because a pickle could run any program. Save `model.state_dict()` with "
            f"safetensors instead."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise WeightsError(
            f"weights file {path} is truncated or is not a PyTorch file ({error}). Copy or "
            f"download it again."
        ) from error
    for _ in _WRAPPERS:
        state = _wrapped(state)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(
            f"weights file {path} holds no state dict (names with tensors). Save "
            f"`model.state_dict()`."
        )
    return _unwrapped(state)


def _wrapped(state: object) -> object:
    """Return the mapping that a checkpoint wraps, or the argument if it wraps none."""
    if not isinstance(state, dict):
        return state
    found = (state.get(wrapper) for wrapper in _WRAPPERS)
    return next((inner for inner in found if isinstance(inner, dict)), state)


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove known prefixes, and drop the tensors whose names lack them.

    No backbone has tensor names that begin with one of these prefixes.
    """
    named = {str(key): tensor for key, tensor in state.items()}
    while prefix := next((p for p in _PREFIXES for key in named if key.startswith(p)), None):
        named = {
            key.removeprefix(prefix): tensor
            for key, tensor in named.items()
            if key.startswith(prefix)
        }
    return named


def load_features(features: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Replace the tensors of `features` by those of a state dict, strictly.

    Args:
        features: May be on the meta device; afterwards it is on the device of the tensors.
        state: Without the classifier's tensors.
        source: Where the tensors come from, for the error text.

    Raises:
        WeightsError: Names, shapes or number types differ, or a value is not finite; the message
            names a few.

    >>> layer = nn.Linear(1, 1)
    >>> load_features(layer, {"weight": torch.ones(1, 1), "bias": torch.ones(1)}, source="ones")
    >>> layer.bias.tolist()
    [1.0]
    >>> load_features(layer, {}, source="nothing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.WeightsError: nothing does not fit this backbone: 2 missing (weight, ...
    """
    wanted = features.state_dict()
    state = dict(state)
    for key, tensor in wanted.items():
        # Networks saved before PyTorch 0.4.1 lack this counter, and inference ignores it.
        if key.endswith("num_batches_tracked") and key not in state:
            state[key] = torch.zeros_like(tensor, device="cpu")
    problems = [
        _listing("missing", [key for key in wanted if key not in state]),
        _listing("unexpected", [key for key in state if key not in wanted]),
        _listing("of another shape", _misshapen(wanted, state)),
    ]
    if any(problems):
        raise WeightsError(
            f"{source} does not fit this backbone: {'; '.join(p for p in problems if p)}. It was "
            f"made for another architecture; name the backbone that it belongs to."
        )
    strange = [
        f"{key} {str(tensor.dtype).removeprefix('torch.')}"
        for key, tensor in state.items()
        if wanted[key].is_floating_point() and tensor.dtype not in _FLOATS
    ]
    if strange:
        raise WeightsError(
            f"{source} has numbers of a kind whose scale is not known here: "
            f"{_listing('of them', strange)}. Save it in float32, float16 or bfloat16."
        )
    broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise WeightsError(f"{source} has values that are not finite: {_listing('in', broken)}.")
    # Assigned rather than copied: on the meta device there is no memory to copy to.
    fitting = {key: tensor.to(wanted[key].dtype) for key, tensor in state.items()}
    features.load_state_dict(fitting, strict=True, assign=True)


def _misshapen(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in state and state[key].shape != tensor.shape
    ]


def _listing(kind: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{more})"
