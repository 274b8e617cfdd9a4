"""How long does the page of a sweep take to load, at very many trials?

The page is served on this machine and opened in a headless Chromium. The server's part is the
first answer with all trials: seconds of CPU until it is written, its bytes, and what of them
travels. The browser's part begins when the answer has arrived and ends when the front and the
table are drawn: seconds on the clock; seconds that the page's main thread computed; and those of
all processes of Chromium, which draw without a graphics card. A busy machine stretches the first
of these alone. The bound is 2 s of the main thread. There is no peer: MLflow's page shows 100
runs at once and no front.

Run: ``python benchmarks/bench_page.py`` (``--quick``: 1,000 trials, once)
"""

import argparse
import gzip
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import uvicorn
from bench_front import fill_ours
from options import parsed

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from orchestrator.pages.application import page_application
from orchestrator.pages.board import Board
from orchestrator.pages.guard import Access
from orchestrator.pages.serving import bind
from orchestrator.queries.sweeps import Sweep
from orchestrator.storage import open_store
from tests.browser import Browser, Tab, chromium

BOUND_S = 2.0
READY = (
    "document.querySelector('main')?.dataset.ready && document.querySelector('.trials tbody tr')"
)
# Resolves after a frame that was painted, with the time of it and of the answer's last byte.
DRAWN = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const resources = performance.getEntriesByType("resource");
  const answer = resources.find((each) => each.name.includes("/api/board"));
  done([performance.now() - answer.responseEnd, answer.responseEnd - answer.requestStart,
        answer.encodedBodySize]);
})))"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--repeats", type=int, default=5)
    options = parsed(parser, sizes=[1_000], repeats=1)
    program = chromium()
    if program is None:
        sys.exit("It needs a Chromium on the path.")
    print(
        "trials   server CPU   answer      travels     answered   drawn after   main thread   "
        "all processes"
    )
    measured = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="paretune-page-") as folder:
            measured.append(measure(size, Path(folder), program, options.repeats))
    if max(measured) > BOUND_S:
        sys.exit(f"The main thread computed for more than the bound of {BOUND_S:g} s.")


def measure(size: int, folder: Path, program: str, repeats: int) -> float:
    """Print a row; returns the seconds that the main thread computed."""
    url = f"sqlite:///{folder}/sweeps.db"
    fill_ours(url, size)
    store = open_store(url, create=False)
    computed, written = answered(Sweep("bench", store))
    bound = bind("127.0.0.1", 0)
    bound.listen()
    application = page_application(Sweep("bench", store), Access())
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    browser = Browser(program, folder / "profile")
    try:
        address = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        found = [loaded(browser, address) for _ in range(repeats)]
    finally:
        browser.close()
        server.should_exit = True
        thread.join()
        store.close()
    columns = zip(*found, strict=True)
    drawn, waited, travelled, busy, every = (statistics.median(each) for each in columns)
    print(
        f"{size:>6,}   {computed:>8.2f} s   {len(written) / 1e3:>6.0f} kB   "
        f"{travelled / 1e3:>6.0f} kB   {waited:>6.2f} s   {drawn:>9.2f} s   {busy:>9.2f} s   "
        f"{every:>10.2f} s",
        flush=True,
    )
    return float(busy)


def answered(sweep: Sweep) -> tuple[float, bytes]:
    """Seconds of CPU of the first answer, and the answer."""
    began = time.process_time()
    board = Board(sweep)
    board.refresh()
    text = json.dumps(board.since(0), default=str, separators=(",", ":")).encode()
    gzip.compress(text, 1)
    return time.process_time() - began, text


def loaded(browser: Browser, address: str) -> tuple[float, float, float, float, float]:
    """Open the page once: seconds until it was drawn, until the answer, bytes, seconds of CPU."""
    before = of_all(browser)
    tab = browser.tab()
    try:
        tab.call("Performance.enable", timeDomain="threadTicks")
        tab.open(address)
        tab.wait(READY, patience_s=120)
        drawn_ms, waited_ms, travelled = tab.run(DRAWN)
        return (
            drawn_ms / 1e3,
            waited_ms / 1e3,
            travelled,
            computed_s(tab),
            of_all(browser) - before,
        )
    finally:
        tab.close()


def computed_s(tab: Tab) -> float:
    """Seconds that the main thread of a tab has computed."""
    metrics = tab.call("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


def of_all(browser: Browser) -> float:
    """Seconds of CPU of all processes of a browser; those that have ended are forgotten."""
    processes = browser.call("SystemInfo.getProcessInfo")["processInfo"]
    return sum(float(each["cpuTime"]) for each in processes)


if __name__ == "__main__":
    main()
