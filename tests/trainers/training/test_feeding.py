"""What keeps a device busy: no step waits for it, and batches are made ahead."""

import itertools
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.trainers.trainings import finished, same, state
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.pruning import PruningConfig
from trainers.recipes.config import RecipeConfig
from trainers.training.devices import bound_memory, precision_problem
from trainers.training.epochs import EpochBatches
from trainers.training.finetune import FineTuning
from trainers.training.optimizers import Optimizer
from trainers.training.prefetching import prefetched

Config = Callable[..., TrialConfig]
CPU = torch.device("cpu")
# What `.item()`, `bool()`, `float()`, `int()`, `.tolist()` of one number and `if tensor` become.
READS = "aten._local_scalar_dense.default"


class Reads(TorchDispatchMode):
    """Counts numbers that are read from tensors, and copies to the host, by step."""

    def __init__(self) -> None:
        super().__init__()
        self.by_step: list[list[str]] = [[]]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func) in (READS, "aten.equal.default", "aten.nonzero.default"):
            self.by_step[-1].append("".join(traceback.format_stack(limit=9)[:-1]))
        return func(*args, **(kwargs or {}))


RECIPES = {
    "plain": {},
    "everything": {
        "recipe": RecipeConfig(
            augment="crop_flip", mixup=0.2, ema=0.9, clip=1.0, layer_decay=0.5, parts=2
        ),
        "optimizer": "adamw",
        "label_smoothing": 0.1,
        "dropout": 0.2,
    },
    "weighted": {"recipe": RecipeConfig(class_weights="balanced", parts=3)},
    "pruned": {"pruning": PruningConfig(sparsity=0.5)},
    "quantized": {"qat": "lsq", "bits": 4, "fc_bits": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_no_step_reads_a_number_from_the_device(
    name: str, make_config: Config, bands: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"tune": "all", "epochs": 2, "batch_size": 8, **RECIPES[name]}
    training = FineTuning(make_config(**given), bands, device=CPU)
    reads = Reads()
    for target in ("cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, target, _refused(target))
    # Batches are made on the host, from numbers of the host.
    of = EpochBatches.of
    monkeypatch.setattr(EpochBatches, "of", lambda *of_epoch: iter(list(of(*of_epoch))))
    step = Optimizer.step

    def counted(optimizer: Optimizer, rate: float) -> None:
        step(optimizer, rate)
        reads.by_step.append([])

    monkeypatch.setattr(Optimizer, "step", counted)
    if name == "pruned":
        # The share that is to be pruned changes in some steps, which count what is.
        monkeypatch.setattr("trainers.pruning.masks._CHOICES", 2)
    with reads:
        training.run_epoch()
    # The first step makes the optimizer's state; after the last one the epoch is measured.
    between = reads.by_step[1:-1]
    assert len(between) > 3
    allowed = 1 if name == "pruned" else 0
    reading = [found for found in between if found]
    assert len(reading) <= allowed, reading[0][0]


def _refused(name: str) -> Callable[..., Any]:
    plain = getattr(torch.Tensor, name)

    def refuse(tensor: torch.Tensor, *given: Any, **named: Any) -> Any:
        # Pixels as they are stored are on the host, and are divided there.
        if tensor.dtype is torch.uint8:
            return plain(tensor, *given, **named)
        raise AssertionError(f"a step calls Tensor.{name}()")

    return refuse


def test_batches_come_in_their_order_and_are_made_ahead() -> None:
    made: list[int] = []
    arrived = threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            if number == 2:
                arrived.set()
            yield number

    given = prefetched(numbers(), ahead=2)
    assert next(given) == 0
    assert arrived.wait(300)
    assert len(made) == 3
    assert list(given) == list(range(1, 9))


def test_an_error_is_raised_where_the_batch_is_asked_for() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("no such drive")

    given = prefetched(broken())
    assert next(given) == 1
    with pytest.raises(OSError, match="no such drive"):
        next(given)


def test_the_thread_ends_with_a_loop_that_is_left() -> None:
    before = threading.active_count()
    given = prefetched(itertools.count())
    assert next(given) == 0
    given.close()  # type: ignore[attr-defined] - a generator
    assert threading.active_count() == before


def test_a_training_with_batches_made_ahead_is_the_same(
    make_config: Config, bands: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = make_config(tune="all", epochs=2, recipe=RecipeConfig(augment="crop_flip", mixup=0.2))
    plain = state(finished(FineTuning(given, bands, device=CPU)))
    of = EpochBatches.of
    monkeypatch.setattr(EpochBatches, "of", lambda *of_epoch: prefetched(of(*of_epoch)))
    assert same(state(finished(FineTuning(given, bands, device=CPU))), plain)


@pytest.mark.slow
def test_precision_is_chosen(make_config: Config, bands: ImageData) -> None:
    def losses(precision: str) -> list[float]:
        recipe = RecipeConfig(precision=precision)
        training = FineTuning(make_config(tune="all", epochs=2, recipe=recipe), bands, device=CPU)
        return [report.train_loss for report in finished(training).reports]

    assert losses("float32") == losses("auto")
    for precision in ("bfloat16", "float16"):
        assert losses(precision) != losses("auto")
        assert losses(precision) == pytest.approx(losses("auto"), rel=0.05)


@pytest.mark.slow
def test_a_compiled_training_is_one(
    make_config: Config, bands: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the backend that compiles nothing: torch's own compiler takes minutes."""
    compiled = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module: compiled(module, backend="eager")
    )
    given = make_config(tune="all", epochs=1, recipe=RecipeConfig(compile=True))
    training = FineTuning(given, bands, device=CPU)
    plain = FineTuning(make_config(tune="all", epochs=1), bands, device=CPU)
    (report,) = finished(training).reports
    assert training.network._compiled_call_impl is not None
    assert report.train_loss == finished(plain).reports[0].train_loss
    training.finish()
    assert training.network._compiled_call_impl is None


@pytest.mark.parametrize(("share", "bounds"), [(0.25, [0.25]), (1.0, []), (0.0, []), (2.0, [])])
def test_a_part_of_a_gpu_bounds_the_memory(
    share: float, bounds: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no GPU here: what torch would be told is noted."""
    told: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    bound_memory(share)
    assert told == bounds


@pytest.mark.parametrize(
    ("precision", "device", "has_bfloat16", "said"),
    [
        ("auto", "mps", False, ""),
        ("float32", "mps", False, ""),
        ("float16", "mps", False, "trials compute in float32: write auto"),
        ("bfloat16", "cuda", False, "the GPU does not have"),
        ("bfloat16", "cuda", True, ""),
        ("float16", "cuda", False, ""),
        ("bfloat16", "cpu", False, ""),
    ],
)
def test_a_precision_that_the_device_does_not_have_is_a_sentence(
    precision: str, device: str, has_bfloat16: bool, said: str
) -> None:
    found = precision_problem(precision, device, has_bfloat16=has_bfloat16)
    assert said in found
    assert bool(found) == bool(said)
