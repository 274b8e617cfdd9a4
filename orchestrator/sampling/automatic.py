"""Which sampler `auto` is; docs/decisions/0022-the-sampler-that-is-chosen.md has the evidence."""

from search_spaces import SearchSpace


def automatic(space: SearchSpace, *, has_prior: bool = False) -> str:
    """Choose a sampler for a space.

    ``model`` was ahead on the public tables that were tried. None of them has conditions, and it
    knows no priors: there it is ``tpe``, as without ``auto``.

    >>> from search_spaces import load_space
    >>> automatic(load_space("smoke")), automatic(load_space("fc_sizing"))
    ('model', 'tpe')
    """
    return "tpe" if space.conditions or has_prior else "model"
