"""Make mlflow.png from the address of MLflow that ``paretune ui`` prints.

    python docs/images/make_mlflow.py 'http://127.0.0.1:5000/#/experiments/1/runs?viewState...'

It needs a Chromium on the path, which it drives as the tests do.
"""

import sys

from pictures import browser_tab, shot

WIDTH, HEIGHT = 1400, 700
_DRAWN_S = 3.0

if __name__ == "__main__":
    with browser_tab(__doc__, is_right=len(sys.argv) == 2) as tab:
        tab.resize(WIDTH, HEIGHT)
        tab.open(sys.argv[1])
        row = "Boolean(document.querySelector('.ag-center-cols-container .ag-row'))"
        tab.wait(row, patience_s=120)
        close = "document.querySelector('[aria-label=\"Close\"]')"
        tab.run(f"void {close}?.click()")
        shot(tab, "mlflow.png", after_s=_DRAWN_S)
