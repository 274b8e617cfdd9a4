"""Write trainers/networks/matched_widths.py: the widths at which a cut backbone is full-sized."""

from pathlib import Path

import trainers.networks.matched_widths as table
from trainers.networks.backbones.matching import matched_widths
from trainers.networks.variants import STAGES

HEAD = '''"""Width multipliers of cut backbones, made by tests/golden/make_matched_widths.py."""

from collections.abc import Mapping

MATCHED: Mapping[str, tuple[tuple[float, float], ...]] = {
'''
END = '''}
"""By backbone and depth (from 1): the multipliers of match_params and of match_macs.

With them the convolutional part of the cut network has as many parameters as the full one, or does
as many multiplications for an image of its default size; nearly, for channels are whole numbers.
"""
'''


def main() -> None:
    """Compute all multipliers; some seconds."""
    lines = []
    for base in STAGES:
        pairs = "".join(f"        ({p:g}, {m:g}),\n" for p, m in matched_widths(base))
        lines.append(f'    "{base}": (\n{pairs}    ),\n')
    Path(table.__file__).write_text(HEAD + "".join(lines) + END, encoding="utf-8")


if __name__ == "__main__":
    main()
