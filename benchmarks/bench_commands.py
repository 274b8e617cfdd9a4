"""How long do the commands that look at a sweep take, at very many trials?

A store is filled by bulk SQL with complete trials of 6 parameters and 6 values each, and told that
the sweep is over, which packs its columns as a driver does. Each command then runs in a process of
its own, as a person starts it, so that the start of Python and of the libraries (``--version``
shows the first alone) is in each figure. Two figures each, medians of the repeats: seconds on the
clock, and seconds of the processor that the command itself used, without those of a PostgreSQL
server. `trials --where` asks for a few trials in ten thousand, and `trials` prints all of them.

Run: ``python benchmarks/bench_commands.py`` (``--quick``: 1,000 trials, without PostgreSQL)
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from bench_front import empty, fill_ours, postgres
from options import parsed
from sqlalchemy import create_engine, text

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = "from orchestrator.cli.app import main; main()"
FEW = "bits <= 2 and accuracy >= 0.999"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "--version": ("--version",),
    "list": ("list",),
    "status": ("status", "bench"),
    "trials --where": ("trials", "bench", "--where", FEW),
    "front": ("front", "bench"),
    "show": ("show", "bench", "7"),
    "trials": ("trials", "bench"),
}
# As a driver records places; bench_front has no use for them.
PLACED = text(
    "UPDATE trials SET artifact_root = 'state', "
    "artifact_path = 'sweeps/bench/trials/' || number || '/model.safetensors'"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stores", nargs="+", default=["SQLite", "PostgreSQL"])
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    options = parsed(parser, sizes=[1_000], repeats=1)
    print("| trials | store | " + " | ".join(options.commands) + " |")
    print("|--:|:--|" + "--:|" * len(options.commands))
    with postgres(wanted=not options.quick) as server, tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            for url in filter(None, (f"sqlite:///{folder}/{size}.db", server)):
                kind = "PostgreSQL" if url == server else "SQLite"
                if kind not in options.stores:
                    continue
                cells = [f"{wall:.2f} ({cpu:.2f})" for wall, cpu in measured(url, size, options)]
                print(f"| {size:,} | {kind} | " + " | ".join(cells) + " |", flush=True)


def measured(url: str, size: int, options: argparse.Namespace) -> Iterator[tuple[float, float]]:
    """Seconds on the clock and of the processor of each command, medians."""
    fill_ours(url, size)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(PLACED)
    once(COMMANDS["list"], url)  # reads what was just written, and compiles
    for name in options.commands:
        spent = [once(COMMANDS[name], url) for _ in range(options.repeats)]
        yield tuple(statistics.median(each) for each in zip(*spent, strict=True))
    engine.dispose()
    if "postgresql" in url:
        empty(url)


def once(words: tuple[str, ...], url: str) -> tuple[float, float]:
    """Run a command once."""
    environment = {
        # Python keeps what it compiled, as it does for people.
        **{key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": str(ROOT),
        "PARETUNE_STORE": url,
    }
    before, began = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall, after = time.perf_counter() - began, getrusage(RUSAGE_CHILDREN)
    return wall, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


if __name__ == "__main__":
    main()
