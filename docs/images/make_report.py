"""Make report.png and plots.png from a page that ``paretune report NAME --to report.html`` wrote.

    python docs/images/make_report.py report.html

It needs a Chromium on the path, which it drives as the tests do, without a network.
"""

import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent.parent))

from tests.browser import Browser, Tab, chromium  # noqa: E402 - the path is set above

WIDTH, HEIGHT = 1000, 1250
_DRAWN_S = 2.0


def draw(tab: Tab, page: Path) -> None:
    """Draw the beginning of the report, and its plots of parameters in the dark."""
    tab.resize(WIDTH, HEIGHT)
    tab.open(page.resolve().as_uri())
    tab.wait("document.querySelector('.js-plotly-plot .main-svg')")
    shot(tab, "report.png")
    tab.dark(is_dark=True)
    heading = (
        "[...document.querySelectorAll('h2')].find((h) => h.innerText.startsWith('Importance'))"
    )
    tab.run(f"{heading}.scrollIntoView()")
    tab.wait(f"{heading}.parentElement.querySelectorAll('.js-plotly-plot').length > 4")
    tab.run(f"{heading}.scrollIntoView()")
    shot(tab, "plots.png")


def shot(tab: Tab, name: str) -> None:
    """Write a picture of the window, once everything is drawn."""
    time.sleep(_DRAWN_S)
    tab.run("document.querySelectorAll('.modebar').forEach((each) => each.remove())")
    tab.screenshot(FOLDER / name, whole=False)


if __name__ == "__main__":
    program = chromium()
    if len(sys.argv) != 2 or program is None:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="paretune-images-") as folder:
        browser = Browser(program, Path(folder))
        try:
            draw(browser.tab(), Path(sys.argv[1]))
        finally:
            browser.close()
