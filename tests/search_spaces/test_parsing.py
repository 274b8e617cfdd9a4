"""The YAML form: every problem, each with its line."""

from pathlib import Path

import pytest

from search_spaces import (
    Choice,
    FileProblems,
    Float,
    Int,
    SpaceError,
    load_space,
    parse_space,
    parse_yaml,
)

WRONG = """\
space:
  fc_layers: {type: int, low: 2, high: 1}
  fc_width_1:
    type: int
    low: "a"
    hihg: 256
    log: yes
  fc_width_2: {type: int, low: 16, high: 128, when: epoch >= 2}
  bits: {type: choise, values: [2, 4]}
  fc_bits: {values: [2, 4]}
  tune: {type: choice, values: all}
  dropout: 0.5
  epochs: {type: int, low: 1, high: 8, when: batch_size == big}
  batch_size: {type: choice, values: [32, 32]}
  learning-rate: {type: float, low: .nan, high: 1}
  weight_decay: {type: float, low: 0, high: 1, when: epochs >= 9}
"""


def complaints(text: str, *path: str) -> list[str]:
    document = parse_yaml(text, name="sweep.yaml")
    data = document.data
    for part in path:
        data = data[part]
    with pytest.raises(SpaceError) as caught:
        parse_space(data, document=document, path=path)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_full_of_mistakes_gets_them_all_with_their_lines():
    assert complaints(WRONG, "space") == [
        "sweep.yaml line 2, space.fc_layers: low 2 is above high 1: the range is upside down, "
        "swap them.",
        "sweep.yaml line 5, space.fc_width_1.low: low is 'a', but needs to be a whole number.",
        "sweep.yaml line 6, space.fc_width_1.hihg: Unknown key 'hihg'. Known: high, log, low, "
        "step, type, when. Did you mean 'high'?",
        "sweep.yaml line 7, space.fc_width_1.log: log is 'yes', but needs to be true or false.",
        "sweep.yaml line 3, space.fc_width_1: Key 'high' is missing; it needs to be a whole "
        "number.",
        "sweep.yaml line 9, space.bits.type: Unknown type 'choise'. Known: choice, float, int. "
        "Did you mean 'choice'?",
        "sweep.yaml line 10, space.fc_bits: Key 'type' is missing. Known: int, float, choice.",
        "sweep.yaml line 11, space.tune.values: values is 'all', but needs to be a list.",
        "sweep.yaml line 12, space.dropout: A domain is a mapping such as "
        "{type: int, low: 1, high: 8}, got 0.5.",
        "sweep.yaml line 13, space.epochs.when: The condition 'batch_size == big' does not "
        "parse at character 15, 'big': a comparison needs a name on one side and a value on "
        "the other; quote text, 'big'. Write for example: bits <= 4 and backbone == 'vgg16'.",
        "sweep.yaml line 14, space.batch_size: values holds 32 twice; list every value once.",
        "sweep.yaml line 15, space.learning-rate: 'learning-rate' cannot name a parameter: use "
        "at most 64 letters, digits and underscores, no digit first, and no word of Python.",
        "sweep.yaml line 15, space.learning-rate.low: low is nan, but needs to be a finite "
        "number.",
        "sweep.yaml line 8, space.fc_width_2.when: The condition 'epoch >= 2' needs parameter "
        "'epoch', which this space does not have. Did you mean 'epochs'?",
        "sweep.yaml line 16, space.weight_decay.when: The condition 'epochs >= 9' can never "
        "hold: 'epochs' is a whole number from 1 to 8.",
    ]


def test_a_circle_of_conditions_is_told_at_the_line_of_one_of_them():
    form = "{{type: int, low: 1, high: 2, when: {} == 1}}"
    (problem,) = complaints(f"a: {form.format('b')}\nb: {form.format('a')}\n")
    assert problem.startswith("sweep.yaml line 1, a.when: Conditions run in a circle: a -> b -> a")


def test_no_condition_is_blamed_for_a_domain_that_could_not_be_read():
    text = "a: {type: int, low: 1}\nb: {type: int, low: 1, high: 2, when: a >= 7}\n"
    (problem,) = complaints(text)
    assert problem.startswith("sweep.yaml line 1, a: ")


def test_a_space_with_too_many_parameters_is_refused_as_a_whole_with_its_line():
    rows = "".join(f"  p{i}: 1\n" for i in range(201))
    (problem,) = complaints(f"name: x\nspace:\n{rows}", "space")
    assert problem.startswith("sweep.yaml line 2, space: A space has 1 to 200 parameters")


@pytest.mark.parametrize("data", [{}, [], "fc_quant", None, {1: {"type": "int"}}])
def test_what_is_no_mapping_of_names_is_refused(data):
    with pytest.raises(SpaceError):
        parse_space(data)


def test_without_a_file_the_place_is_the_path():
    with pytest.raises(SpaceError, match=r"^bits.low: low is 1.5, but needs to be a whole number"):
        load_space({"bits": {"type": "int", "low": 1.5, "high": 8}})


@pytest.mark.parametrize(
    ("form", "domain"),
    [
        ({"type": "int", "low": 1, "high": 9, "step": 4}, Int(1, 9, 4)),
        ({"type": "int", "low": 1, "high": 9, "log": True}, Int(1, 9, log=True)),
        ({"type": "float", "low": 0, "high": 1}, Float(0.0, 1.0)),
        ({"type": "float", "low": 0, "high": 1, "step": 0.5}, Float(0.0, 1.0, step=0.5)),
        ({"type": "choice", "values": [1, "a", True]}, Choice((1, "a", True))),
    ],
)
def test_each_form_gives_its_domain_and_is_written_again_without_defaults(form, domain):
    space = parse_space({"x": form})
    assert space.domains == {"x": domain}
    assert space.as_mapping() == {"x": form}


def test_a_space_is_loaded_by_library_name_by_path_and_as_a_mapping(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("bits: {type: choice, values: [4, 8]}\n")
    by_path, by_text = load_space(path), load_space(str(path))
    assert by_path == by_text
    assert by_path.name == "mine"
    mapping = {"bits": {"type": "choice", "values": [4, 8]}}
    assert load_space(mapping).fingerprint() == by_path.fingerprint()
    assert load_space("smoke").name == "smoke"


def test_an_unknown_library_name_gets_the_known_ones():
    with pytest.raises(SpaceError, match="Did you mean 'fc_quant'") as caught:
        load_space("fc_qant")
    assert "fc_head, fc_quant, fc_sizing, full_finetune, quantizers, smoke" in str(caught.value)


@pytest.mark.parametrize("source", ["none.yaml", "some/where", Path("none")])
def test_what_looks_like_a_path_is_one(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileProblems, match="There is no file"):
        load_space(source)


def test_a_condition_too_long_to_be_stored_is_refused():
    listed = ", ".join(["8/255"] * 50)
    assert len(listed) < 350
    form = {
        "rate": {"type": "float", "low": 0, "high": 1},
        "bits": {"type": "int", "low": 1, "high": 2, "when": f"rate in [{listed}]"},
    }
    with pytest.raises(SpaceError, match=r"bits.when: .* longer than 1,000 characters"):
        parse_space(form)


def test_what_a_condition_means_is_stored_and_read_back():
    form = {
        "eps": {"type": "float", "low": 0, "high": 1},
        "bits": {"type": "int", "low": 1, "high": 2, "when": "1/255 < eps <= 8/255 or eps == 0.5"},
    }
    space = parse_space(form)
    assert parse_space(space.as_mapping()) == space
