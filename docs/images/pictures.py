"""What the scripts beside it share: a browser, and a picture of its window."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import Browser, Tab, chromium  # noqa: E402 - the path is set above


@contextmanager
def browser_tab(usage: str | None, *, is_right: bool) -> Iterator[Tab]:
    """Open a tab within this block.

    Args:
        usage: Printed, and the script ended, where there is no Chromium on the path.
        is_right: Whether the script was called as `usage` says; it is ended too if not.
    """
    program = chromium()
    if program is None or not is_right:
        sys.exit(usage)
    with tempfile.TemporaryDirectory(prefix="paretune-images-") as folder:
        browser = Browser(program, Path(folder))
        try:
            yield browser.tab()
        finally:
            browser.close()


def shot(tab: Tab, name: str, *, after_s: float, whole: bool = False) -> None:
    """Write a picture into this folder, once everything is drawn, without plotly's buttons."""
    time.sleep(after_s)
    tab.run("document.querySelectorAll('.modebar').forEach((each) => each.remove())")
    tab.screenshot(FOLDER / name, whole=whole)
