"""What may vary in a sweep: parameters, the values they take, and when each is active.

A space is a mapping from parameter names to domains, most often in a YAML file::

    fc_layers: {type: int, low: 1, high: 2}
    fc_width_1: {type: int, low: 16, high: 256, log: true}
    fc_width_2: {type: int, low: 16, high: 128, log: true, when: fc_layers >= 2}
    bits: {type: choice, values: [2, 3, 4, 5, 6, 8]}
    dropout: {type: float, low: 0, high: 0.5, step: 0.1}

`int` and `float` take `low` and `high` (both included), and either `step` or `log: true`; `choice`
takes `values`. `when` makes a parameter active only if a condition on others holds.

>>> from search_spaces import load_space
>>> space = load_space("smoke")
>>> space.size
4
>>> space.check({"fc_width_1": 8, "bits": 7})
Traceback (most recent call last):
search_spaces.errors.SpaceError: bits: Parameter 'bits' is 7, but needs to be one of 4, 8.
"""

from search_spaces.conditions import AnyOf, Comparison, Condition, Not, Part
from search_spaces.domains import Choice, Domain, Float, Int, Value
from search_spaces.errors import FileProblems, Problem, SpaceError, did_you_mean, shown, unknown
from search_spaces.library import library_names, library_path
from search_spaces.parsing import load_space, parse_space
from search_spaces.space import SearchSpace
from search_spaces.yaml_files import Document, parse_yaml, read_yaml

__all__ = [
    "AnyOf",
    "Choice",
    "Comparison",
    "Condition",
    "Document",
    "Domain",
    "FileProblems",
    "Float",
    "Int",
    "Not",
    "Part",
    "Problem",
    "SearchSpace",
    "SpaceError",
    "Value",
    "did_you_mean",
    "library_names",
    "library_path",
    "load_space",
    "parse_space",
    "parse_yaml",
    "read_yaml",
    "shown",
    "unknown",
]
