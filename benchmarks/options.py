"""The options that every benchmark has: its own, and ``--quick``."""

import argparse


def parsed(parser: argparse.ArgumentParser, **quick: object) -> argparse.Namespace:
    """Parse the command line.

    With ``--quick`` options that are not given have the values of `quick`: enough to see that
    everything still runs, too few for a result.
    """
    parser.add_argument("--quick", action="store_true", help="a short run that is no result")
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(**quick)
    return parser.parse_args()
