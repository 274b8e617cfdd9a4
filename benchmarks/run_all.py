"""Run the benchmarks one after another and write what they printed into RESULTS.md.

Every benchmark measures its peer in the same run. Keep the machine free of other work meanwhile;
how busy it was stands beside the result, and where it was, count seconds of CPU.

Run: ``make bench``, or ``python benchmarks/run_all.py bench_front bench_repeats`` for some; the
others keep the results that stand in the file. Options behind the name of a single one are its
own: ``python benchmarks/run_all.py bench_search --seeds 10``. ``--quick`` (``make bench QUICK=1``)
is a short run of each to see that it still works; nothing is written then.
"""

import argparse
import ast
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
PACKAGES = ("torch", "ray", "optuna", "mlflow", "sqlalchemy", "moocore", "numpy")


def main() -> None:
    known = sorted(path.stem for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="only see whether they run")
    given, options = parser.parse_known_args()
    chosen = given.names or known
    if options and len(chosen) != 1:
        parser.error(
            f"{' '.join(options)}: options are for one benchmark, and its name comes first"
        )
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"there is no {', '.join(unknown)}; known are {', '.join(known)}")
    if given.quick:
        for name in chosen:
            print(f"== {name}", flush=True)
            section(name, ["--quick", *options])
        return
    sections = stored()
    for name in chosen:
        print(f"== {name}", flush=True)
        sections[name] = section(name, options)
        # After each, so that what was measured is kept when the next one is interrupted.
        RESULTS.write_text(page({name: sections[name] for name in known if name in sections}))


def section(name: str, options: Sequence[str]) -> str:
    """Run one benchmark; its part of the page."""
    script = HERE / f"{name}.py"
    about = ast.get_docstring(ast.parse(script.read_text())) or ""
    began, load = time.monotonic(), os.getloadavg()[0]
    printed = f"$ {' '.join(['python', f'benchmarks/{name}.py', *options])}\n"
    command = [sys.executable, "-u", str(script), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            printed += line
    if process.returncode:
        sys.exit(f"{name} ended with {process.returncode}")
    today, commit = time.strftime("%Y-%m-%d"), _said("git", "rev-parse", "--short", "HEAD")
    took = f"{time.monotonic() - began:.0f} s (load {load:.1f} when it began)"
    when = f"{today}, commit {commit}, {took}, {machine()}"
    return f"## {name}\n\n{about}\n\n{when}\n\n```\n{printed.strip()}\n```\n"


def machine() -> str:
    """What it was measured on."""
    cpus = len(os.sched_getaffinity(0))
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"{cpus} CPUs ({_cpu()}), Python {platform.python_version()}, {versions}"


def stored() -> dict[str, str]:
    """The sections of the page as it is, by the name of their benchmark."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}


def page(sections: dict[str, str]) -> str:
    """The whole page."""
    head = "# Results\n\nWritten by `make bench`; each section by one run of its benchmark.\n"
    return "\n".join([head, *sections.values()])


def _cpu() -> str:
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    )
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _said(*command: str) -> str:
    return subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False
    ).stdout.strip()


if __name__ == "__main__":
    main()
