"""The same targets under atheris, which searches for inputs that reach new code.

pip install atheris
python -m tests.fuzz.guided where.txt -runs=100000
"""

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["orchestrator", "search_spaces", "trainers"]):
    from tests.fuzz.targets import REFUSALS, targets
    from trainers.artifact import write_artifact
    from trainers.networks.network import build_network
    from trainers.quantization.config import QuantizationConfig


def main() -> None:
    """Fuzz the target that the first argument names; libFuzzer reads the others."""
    name = sys.argv.pop(1)
    folder = Path(tempfile.mkdtemp(prefix="paretune-fuzz-"))
    file, corpus = folder / name, folder / "corpus"
    network = build_network("digitnet", weights="scratch", widths=(8,), classes=3)
    quantization = QuantizationConfig(bits=4, fc_bits=2)
    write_artifact(network, file, quantization=quantization, classes=None)
    target = targets(file.read_bytes())[name]
    corpus.mkdir()
    for number, seed in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(seed)

    def once(data: bytes) -> None:
        file.write_bytes(data)
        with suppress(*REFUSALS):
            target.read(data, file)

    atheris.Setup([*sys.argv, str(corpus), "-timeout=5", "-max_len=200000"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
