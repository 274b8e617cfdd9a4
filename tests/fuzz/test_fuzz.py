"""Whatever strangers hand us is read or refused with a sentence: quickly, and writing nothing.

PARETUNE_FUZZ=25000 pytest tests/fuzz        # per target; `make fuzz` does this
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import spoilt
from tests.fuzz.targets import REFUSALS, Target, targets
from trainers.artifact import write_artifact
from trainers.networks.network import build_network
from trainers.quantization.config import QuantizationConfig

EXAMPLES = int(os.environ.get("PARETUNE_FUZZ", "150"))
NAMES = ("sweep.yaml", "space.yaml", "where.txt", "model.safetensors")
LONGEST_S = 1.0
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}


class Watch:
    """Hears of every file that Python opens for writing, while it listens."""

    def __init__(self) -> None:
        self.listening = False
        self.heard: list[str] = []
        # For the life of the process: an audit hook cannot be taken back.
        sys.addaudithook(self._hear)

    @contextmanager
    def listen(self) -> Iterator[None]:
        self.heard, self.listening = [], True
        try:
            yield
        finally:
            self.listening = False

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self.listening:
            return
        is_write = event == "open" and isinstance(args[2], int) and args[2] & _WRITING
        if is_write or event in _CHANGES or event.startswith(("subprocess.", "os.system")):
            self.heard.append(f"{event} {args}")


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    torch.set_num_threads(1)
    network = build_network("digitnet", weights="scratch", widths=(8,), classes=3)
    path = tmp_path_factory.mktemp("seed") / "model.safetensors"
    quantization = QuantizationConfig(bits=4, fc_bits=2)
    write_artifact(network, path, quantization=quantization, classes=["a", "b", "c"])
    return dict(targets(path.read_bytes()))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_anything_is_read_or_refused_with_a_sentence(
    name: str, known: dict[str, Target], watch: Watch, tmp_path: Path
) -> None:
    target, file = known[name], tmp_path / name

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="PARETUNE_FUZZ" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def holds(source: st.DataObject) -> None:
        data = source.draw(spoilt(target.seeds))
        file.write_bytes(data)
        with watch.listen():
            # Again, because it may have been Python that collected all its garbage.
            is_slow = _seconds(target, data, file) >= LONGEST_S
            assert not is_slow or _seconds(target, data, file) < LONGEST_S
        assert watch.heard == []

    holds()


def _seconds(target: Target, data: bytes, file: Path) -> float:
    # Of the processor, so that a busy machine is not taken for a hang.
    began = time.process_time()
    try:
        target.read(data, file)
    except REFUSALS as error:
        assert str(error).strip(), "an empty sentence"  # noqa: PT017
    return time.process_time() - began


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_are_right(name: str, known: dict[str, Target], tmp_path: Path) -> None:
    assert known[name].seeds
    for data in known[name].seeds:
        (tmp_path / name).write_bytes(data)
        known[name].read(data, tmp_path / name)  # raises nothing


def test_a_write_is_heard(watch: Watch, tmp_path: Path) -> None:
    with watch.listen():
        (tmp_path / "x").write_text("x")
    assert len(watch.heard) == 1
