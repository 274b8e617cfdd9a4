"""Make mlflow.png and mlflow-charts.png from the two addresses that ``paretune ui`` prints.

    python docs/images/make_mlflow.py 'http://127.0.0.1:5000/#/...' 'http://127.0.0.1:5000/#/...'

It needs a Chromium on the path, which it drives as the tests do.
"""

import sys

from pictures import browser_tab, shot

WIDTH = 1400
PICTURES = (
    ("mlflow.png", 700, ".ag-center-cols-container .ag-row"),
    ("mlflow-charts.png", 1250, ".scatterlayer, .gl-container"),
)
_DRAWN_S = 8.0

if __name__ == "__main__":
    with browser_tab(__doc__, is_right=len(sys.argv) == 3) as tab:
        for address, (name, height, drawn) in zip(sys.argv[1:], PICTURES, strict=True):
            tab.resize(WIDTH, height)
            tab.open(address)
            tab.wait(f"Boolean(document.querySelector({drawn!r}))", patience_s=120)
            close = "document.querySelector('[aria-label=\"Close\"]')"
            tab.run(f"void {close}?.click()")
            shot(tab, name, after_s=_DRAWN_S)
