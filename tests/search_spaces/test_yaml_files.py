"""YAML files of strangers become plain values with lines, or sentences."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    Document,
    FileProblems,
    library_names,
    library_path,
    parse_yaml,
    read_yaml,
)
from search_spaces.yaml_files import MAX_BYTES, MAX_DEPTH, MAX_NODES


def problems(text: str) -> list[str]:
    with pytest.raises(FileProblems) as caught:
        parse_yaml(text, name="sweep.yaml")
    return [str(problem) for problem in caught.value.problems]


def value(text: str) -> object:
    return parse_yaml(f"x: {text}", name="sweep.yaml").data["x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("1.0e-05", 1e-5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("8/255", "8/255"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("on", "on"),
        ("No", "No"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("'8'", "8"),
        ('"true"', "true"),
        ("! 8", "8"),
        ("[1, {a: 2.5}]", [1, {"a": 2.5}]),
        ("|\n  two\n  lines", "two\nlines"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
    ],
)
def test_plain_values_follow_yaml_1_2(text, expected):
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_nan_arrives_as_a_float_for_callers_to_refuse():
    assert math.isnan(value(".nan"))


def test_a_whole_number_as_a_key_is_its_text():
    assert value("{1: 8, '12': 4}") == {"1": 8, "12": 4}


def test_every_path_knows_its_line_and_an_unknown_one_that_of_its_ancestor():
    text = "a: 1\nspace:\n  bits:\n    values:\n      - 2\n      - 4\n\nflow: {b: 1,\n  c: 2}\n"
    document = parse_yaml(text, name="sweep.yaml")
    paths = [("a",), ("space",), ("space", "bits", "values", 1), ("flow", "c"), ()]
    assert [document.line(*path) for path in paths] == [1, 2, 6, 9, 1]
    assert document.line("space", "bits", "low") == 3
    assert document.line("nowhere") == 1
    problem = document.problem("Bad.", "space", "bits", "values", 1)
    assert str(problem) == "sweep.yaml line 6, space.bits.values[1]: Bad."


def test_an_alias_stands_where_it_is_used_and_its_content_where_it_was_written():
    document = parse_yaml("a: &x\n  low: 1\nb: *x\n", name="sweep.yaml")
    assert document.data == {"a": {"low": 1}, "b": {"low": 1}}
    assert (document.line("b"), document.line("b", "low")) == (3, 2)


def test_all_duplicate_keys_are_told_at_once_with_both_lines():
    assert problems("a: 1\nb:\n  c: 1\n  c: 2\na: 3\na: 4\n") == [
        "sweep.yaml line 4, b.c: Key 'c' is given twice, first on line 3.",
        "sweep.yaml line 5, a: Key 'a' is given twice, first on line 1.",
        "sweep.yaml line 6, a: Key 'a' is given twice, first on line 1.",
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "does not parse as YAML"),
        ("a: 1\n\tb: 2\n", 2, "\\t"),
        ("a: 1\nb: \x07\n", 2, "'\\x07' cannot stand"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "Tag '!!python/object/apply:os.system'"),
        ("a: !!str 1\n", 1, "Tag '!!str' is not read. Write the plain value."),
        ("a: !mine {b: 1}\n", 1, "Tag '!mine'"),
        ("a: 1\n---\nb: 2\n", 2, "A second document starts here"),
        ("- 1\n- 2\n", 1, "top level must be a mapping"),
        ("\n# only a comment\n", 1, "is empty"),
        ("", 1, "is empty"),
        ("a: 1\n2.5: b\n", 2, "Key 2.5 is not text. Put it in quotes."),
        ("2: a\n'2': b\n", 2, "Key '2' is given twice, first on line 1."),
        ("a: 1\ntrue: b\n", 2, "Key True is not text"),
        ("[1, 2]: b\n", 1, "Key [1, 2] is not text."),
        ("{a: 1}: b\n", 1, "Key {'a': 1} is not text."),
        ("a: &x [*x]\n", 1, "Alias 'x' stands in its own anchor."),
        ("a: *x\n", 1, "Alias 'x' has no anchor above."),
        ("a: " + "9" * 5_000, 1, "does not fit in 64 bits"),
        ("a: 9223372036854775808\n", 1, "does not fit in 64 bits"),
        ('a: "\\U00110000"\n', None, "out of range"),
        ('a: "\\UFFFFFFFF"\n', None, "out of range"),
        ('a: 1\nb: "\\ud800"\n', 2, "half a character"),
        ('a: "\\0"\n', 1, "NUL"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence_with_its_line(text, line, words):
    (problem,) = problems(text)
    assert words in problem
    assert problem.startswith("sweep.yaml" if line is None else f"sweep.yaml line {line}")


def test_duplicates_before_a_syntax_error_are_told_with_it():
    assert len(problems("a: 1\na: 2\nb: [\n")) == 2


def test_a_key_never_carries_control_codes_to_the_terminal():
    (problem,) = problems('"\\e[31m": 1\n"\\e[31m": 2\n')
    assert "\x1b" not in problem


@pytest.mark.slow
def test_nesting_is_read_to_the_limit_and_not_beyond():
    deepest = MAX_DEPTH - 2
    assert parse_yaml("a: " + "[" * deepest + "1" + "]" * deepest, name="x")
    for text in ("a: " + "[" * 40 + "1" + "]" * 40, "[" * 500_000, "- " * 400_000, "? " * 9_000):
        (problem,) = problems(text)
        assert "nested more than 40 levels" in problem


def test_aliases_do_not_hide_nesting():
    rows = [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 50)]
    (problem,) = problems("\n".join(["a0: &a0 1", *rows]))
    assert "nested more than 40 levels" in problem


def test_an_alias_bomb_is_refused_before_it_is_expanded():
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    (problem,) = problems("\n".join(["a0: &a0 lol", *rows]))
    assert "more than 20,000 values" in problem
    assert problem.startswith("sweep.yaml line 6")


@pytest.mark.slow
@pytest.mark.parametrize(("items", "is_read"), [(MAX_NODES - 3, True), (MAX_NODES - 2, False)])
def test_values_are_counted_exactly(items, is_read):
    # The mapping, its key and the list are the other three.
    text = "a: [" + "1," * items + "]"
    if is_read:
        assert len(parse_yaml(text, name="x").data["a"]) == items
    else:
        (problem,) = problems(text)
        assert "more than 20,000 values" in problem


def test_a_file_gives_what_its_text_gives(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("\ufeffname: Größe\nbits: 4\n", encoding="utf-8")
    document = read_yaml(path)
    assert document.data == {"name": "Größe", "bits": 4}
    assert (document.name, document.line("bits")) == ("sweep.yaml", 2)


def file_problem(path: Path) -> str:
    with pytest.raises(FileProblems) as caught:
        read_yaml(path)
    (problem,) = caught.value.problems
    return str(problem)


def test_a_file_that_is_missing_is_told(tmp_path):
    assert "There is no file" in file_problem(tmp_path / "none.yaml")
    assert "cannot be read" in file_problem(tmp_path / ("x" * 5_000))
    assert "cannot be read" in file_problem(tmp_path / "a\0b.yaml")


def test_a_folder_or_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "is not a regular file" in file_problem(tmp_path)
    assert "is not a regular file" in file_problem(tmp_path / "pipe.yaml")


def test_a_large_file_is_refused_unread(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as stream:
        stream.truncate(50_000_000)
    assert "larger than 1,000,000 bytes" in file_problem(path)
    with pytest.raises(FileProblems, match="larger than"):
        parse_yaml("#" * (MAX_BYTES + 1), name="x")


def test_a_file_that_is_not_utf_8_is_told_with_the_line(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: Größe\n".encode("latin-1"))
    assert file_problem(path).startswith("latin.yaml line 2: The file is not UTF-8")


NOISE = [
    *"{}[]:,-?&*!|>'\"%@#\n \t\r\\~=.0123eExXab\ufeff\x85\u2028\x00é😀",
    *("\n  ", "\n- ", ": ", "a: ", "*a", "&a ", "<<: *a", "!!int ", "!<t>", "---\n", "...\n"),
    *("%YAML 1.1\n", "%TAG ! x\n", '"\\U00110000"', '"\\ud800"', "? ", "|2-\n", "9" * 120),
]
fragments = st.sampled_from(NOISE)
library = st.sampled_from([library_path(name).read_text() for name in library_names()])
damaged = st.builds(
    lambda text, place, cut, noise: text[:place] + noise + text[place + cut :],
    library,
    st.integers(0, 600),
    st.integers(0, 4),
    st.lists(fragments, max_size=3).map("".join),
)


def refusal(read: Callable[[], Document]) -> FileProblems | None:
    try:
        assert isinstance(read().data, dict)
    except FileProblems as error:
        return error
    return None


@pytest.mark.slow
@given(st.one_of(st.lists(fragments, max_size=40).map("".join), st.text(), damaged))
@settings(max_examples=400)
def test_any_text_is_read_or_refused_in_printable_sentences(text):
    error = refusal(lambda: parse_yaml(text, name="x.yaml"))
    assert error is None or error.problems
    assert error is None or str(error).replace("\n", "").isprintable()


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_are_read_or_refused_in_sentences(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    error = refusal(lambda: read_yaml(path))
    assert error is None or error.problems


printable = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | printable,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(printable, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(printable, plain, max_size=4), st.booleans())
def test_what_is_written_in_quotes_comes_back(data, flow):
    # Quoted, because PyYAML writes YAML 1.1, in which 1e-4 is text that needs no quotes.
    text = yaml.dump(
        data, Dumper=Quoting, default_flow_style=flow, allow_unicode=True, sort_keys=False
    )
    found = parse_yaml(text, name="x.yaml").data
    assert repr(found) == repr(data)


class Quoting(yaml.SafeDumper):
    """Writes all text in double quotes."""

    def ignore_aliases(self, data):
        return True


Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)
