"""Make front.png from a page that ``paretune front NAME --plot front.html`` wrote.

    python docs/images/make_front.py front.html

It needs a Chromium on the path, which it drives as the tests do, without a network.
"""

import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent.parent))

from tests.browser import Browser, Tab, chromium  # noqa: E402 - the path is set above

WIDTH, HEIGHT = 1000, 660
_DRAWN_S = 1.0


def draw(tab: Tab, page: Path) -> None:
    """Draw the page as it looks in a window, at twice that resolution, without its buttons."""
    tab.resize(WIDTH, HEIGHT, scale=2.0)
    tab.open(page.resolve().as_uri())
    tab.wait("document.querySelector('.js-plotly-plot .main-svg')")
    tab.run("document.querySelectorAll('.modebar').forEach((each) => each.remove())")
    time.sleep(_DRAWN_S)
    tab.screenshot(FOLDER / "front.png", whole=False)


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
