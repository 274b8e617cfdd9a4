#!/usr/bin/env python3
"""Exit with 0 if what a container runs is well: Ray by its own answer, MLflow by its own.

What runs is read from the command lines of the container's processes. A driver, which serves
nothing, is well as long as it runs.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

_PATIENCE_S = 3


def questions(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Name the addresses that answer for the processes with these command lines."""
    for words in lines:
        programs = {Path(word).name for word in words[:3]}
        if "ray" in programs and "start" in words:
            agent = _option(words, "--dashboard-agent-listen-port", "52365")
            yield f"http://127.0.0.1:{agent}/api/local_raylet_healthz"
            if "--head" in words:
                dashboard = _option(words, "--dashboard-port", "8265")
                yield f"http://127.0.0.1:{dashboard}/api/gcs_healthz"
        elif "mlflow" in programs and "server" in words:
            yield f"http://127.0.0.1:{_option(words, '--port', '5000')}/health"


def answered(address: str) -> bool:
    """Return whether an address answers that all is well."""
    try:
        with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer:  # noqa: S310 - http
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _option(words: Sequence[str], name: str, default: str) -> str:
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return after
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return default


def _processes() -> Iterator[list[str]]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield file.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue


def main() -> int:
    """Ask all, and name what did not answer."""
    asked = sorted(set(questions(list(_processes()))))
    silent = [address for address in asked if not answered(address)]
    if silent:
        sys.stderr.write(f"no answer: {', '.join(silent)}\n")
    return 1 if silent else 0


if __name__ == "__main__":
    raise SystemExit(main())
