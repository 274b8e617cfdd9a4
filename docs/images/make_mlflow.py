"""Make mlflow.png from the address of MLflow that ``paretune ui`` prints.

    python docs/images/make_mlflow.py 'http://127.0.0.1:5000/#/experiments/1/runs?viewState...'

It needs a Chromium on the path, which it drives as the tests do.
"""

import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent.parent))

from tests.browser import Browser, chromium  # noqa: E402 - the path is set above

WIDTH, HEIGHT = 1400, 700
_DRAWN_S = 3.0

if __name__ == "__main__":
    program = chromium()
    if len(sys.argv) != 2 or program is None:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="paretune-images-") as folder:
        browser = Browser(program, Path(folder))
        try:
            tab = browser.tab()
            tab.resize(WIDTH, HEIGHT)
            tab.open(sys.argv[1])
            tab.wait(
                "Boolean(document.querySelector('.ag-center-cols-container .ag-row'))",
                patience_s=120,
            )
            close = "document.querySelector('[aria-label=\"Close\"]')"
            tab.run(f"void {close}?.click()")
            time.sleep(_DRAWN_S)
            tab.screenshot(FOLDER / "mlflow.png", whole=False)
        finally:
            browser.close()
