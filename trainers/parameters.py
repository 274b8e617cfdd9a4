"""Everything that may be sampled, with what each parameter accepts; importable without torch."""

from collections.abc import Mapping

from trainers.accepted import Accepts, Value
from trainers.doors import shipped
from trainers.errors import did_you_mean
from trainers.methods.config import METHOD_PARAMETERS
from trainers.networks.backbone_table import backbone_names
from trainers.networks.reuse_config import POLICIES
from trainers.networks.sizing import MAX_HIDDEN_LAYERS, RULES, SMALLEST_FRACTION
from trainers.networks.variants import MOST_DEPTH, NARROWEST, WIDEST, WIDTH_WORDS
from trainers.pruning import config as pruning
from trainers.quantization.allocation import ALLOCATED_BITS, BIT_WIDTHS
from trainers.quantization.automatic import AUTO
from trainers.quantization.calibration import ROUNDINGS
from trainers.quantization.config import (
    ACTIVATION_RANGES,
    CHANNELS,
    CODEBOOK_BITS,
    FLOAT_BITS,
    MAX_RATE_WEIGHT,
    QAT_MODES,
    QUANTIZERS,
    SCOPES,
    STEPS,
)
from trainers.quantization.layer_bits import LAYER_BITS
from trainers.recipes.config import RECIPE_PARAMETERS

__all__ = [
    "MAX_HIDDEN_LAYERS",
    "PARAMETERS",
    "PARAMETER_NAMES",
    "Accepts",
    "Value",
    "check_parameter",
]


def _bits(of: str) -> Accepts:
    meaning = f"bits of {of}; {FLOAT_BITS} is not quantized"
    return Accepts(meaning, 2, 8, whole=True, also=(FLOAT_BITS,))


_LAST_BLOCKS = r"last_blocks:[1-9][0-9]{0,2}"
_WIDTH = 65_536
_CODE = r".+:\w+(#[0-9a-f]{16})?"

PARAMETERS: Mapping[str, Accepts] = {
    "fc_rule": Accepts("rule that sizes the head; see trainers/networks/sizing.py", words=RULES),
    "fc_fraction": Accepts(
        "share of the full widths, for fc_rule fraction", SMALLEST_FRACTION, 1.0
    ),
    "fc_layers": Accepts("hidden FC layers of the head", 1, MAX_HIDDEN_LAYERS, whole=True),
    "fc_width_1": Accepts("width of the first hidden FC layer", 1, _WIDTH, whole=True),
    "fc_width_2": Accepts("width of the second hidden FC layer", 1, _WIDTH, whole=True),
    "fc_width_3": Accepts("width of the third hidden FC layer", 1, _WIDTH, whole=True),
    "bits": _bits("a convolution weight"),
    "fc_bits": _bits("an FC weight"),
    "quantizer": Accepts(
        "how levels are placed; see docs/guides/quantize.md",
        words=(*QUANTIZERS, *shipped("quantizers")),
        pattern=_CODE,
        example="module:name",
    ),
    "scope": Accepts(
        "what shares its levels", words=SCOPES, pattern=CHANNELS, example="channels:N"
    ),
    "rate_weight": Accepts("what the quantizer entropy pays for a bit less", 0.0, MAX_RATE_WEIGHT),
    "step": Accepts("what decides the range of evenly spaced levels", words=(*STEPS, AUTO)),
    "codebook_bits": Accepts("bits of a listed level", whole=True, also=CODEBOOK_BITS),
    "activation_bits": _bits("an activation"),
    "activation_range": Accepts("what the levels of activations hold", words=ACTIVATION_RANGES),
    "rounding": Accepts("how the code of each weight is chosen", words=(*ROUNDINGS, AUTO)),
    ALLOCATED_BITS: Accepts(
        "mean bits of a weight; which layer has how many follows", BIT_WIDTHS[0], BIT_WIDTHS[-1]
    ),
    "qat": Accepts("how training knows of the quantization", words=QAT_MODES),
    "pruning_sparsity": Accepts("share of the weights that become zero", 0, pruning.MAX_SPARSITY),
    "pruning_granularity": Accepts("what is pruned as one", words=pruning.GRANULARITIES),
    "pruning_context": Accepts("where weights compete to stay", words=pruning.CONTEXTS),
    "pruning_criterion": Accepts(
        "what a weight is worth",
        words=(*pruning.CRITERIA, *shipped("criteria")),
        pattern=_CODE,
        example="module:name",
    ),
    "pruning_schedule": Accepts("how the sparsity grows", words=pruning.SCHEDULES),
    "pruning_layers": Accepts("which layers are pruned", words=pruning.LAYERS),
    "pruning_restart": Accepts("whether what is left is trained from scratch", flag=True),
    "pruning_threshold": Accepts(
        "score, in means of its layer, up to which a channel is removed", 0, pruning.MAX_THRESHOLD
    ),
    "tune": Accepts(
        "what is trained", words=("head", "all"), pattern=_LAST_BLOCKS, example="last_blocks:N"
    ),
    "learning_rate": Accepts("peak learning rate", 1e-8, 10.0),
    "weight_decay": Accepts("decoupled weight decay", 0.0, 1.0),
    "dropout": Accepts("dropout before each FC layer but the first", 0.0, 0.95),
    "label_smoothing": Accepts("label smoothing of the loss", 0.0, 0.9),
    "optimizer": Accepts("update rule", words=("adamw", "sgd")),
    "batch_size": Accepts("images a step", 1, 65_536, whole=True),
    "epochs": Accepts("passes over the training images", 1, 10_000, whole=True),
    "policy": Accepts("which pre-trained kernels are reused", words=POLICIES),
    "backbone": Accepts(
        "the convolutional part",
        words=backbone_names(),
        pattern=r"\S+:\S+",
        example="timm:NAME",
    ),
    **RECIPE_PARAMETERS,
    **METHOD_PARAMETERS,
    "depth": Accepts("blocks that each stage keeps, at most", 1, MOST_DEPTH, whole=True),
    "width_multiplier": Accepts(
        "of the channels of convolutions", NARROWEST, WIDEST, words=WIDTH_WORDS
    ),
    **{
        name: _bits(f"the weight of convolution {number}")
        for number, name in enumerate(LAYER_BITS, start=1)
    },
}
"""Everything that may be sampled."""

PARAMETER_NAMES = (
    *(name for name in PARAMETERS if name not in LAYER_BITS),
    f"{LAYER_BITS[0]} to {LAYER_BITS[-1]}",
)
"""The names of `PARAMETERS` as messages list them."""


def check_parameter(name: str, value: Value) -> None:
    """Reject an unknown parameter, or a value that a trial cannot be run with.

    >>> check_parameter("bits", 4)

    Raises:
        ValueError: The message says what would have been accepted.
    """
    if name not in PARAMETERS:
        raise ValueError(f"Unknown parameter {name!r}.{_nearest(name)}")
    if not PARAMETERS[name].accepts(value):
        raise ValueError(f"{name} is {value!r}, but a trial needs {PARAMETERS[name]}.")


def _nearest(name: str) -> str:
    """Suggest one parameter; all eighty are listed only where none is near."""
    if name.startswith("bits_"):
        return f" Known: {PARAMETER_NAMES[-1]}."
    known = [each for each in PARAMETERS if each not in LAYER_BITS]
    return did_you_mean(name, known) or f" Known: {', '.join(PARAMETER_NAMES)}."
