"""Tables as files: what is written is read back, and what is no table is told."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.simulation.table import Recording, Table
from orchestrator.simulation.table_files import read_table, write_table
from orchestrator.trials import Report

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SECONDS = st.floats(min_value=0.0, max_value=1e6)
NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,9}", fullmatch=True)
# What a CSV cell could take for something else is among them; a lone surrogate has no UTF-8.
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(
        ["", "4", "1e-3", "true", "null", '"a"', "NaN", "[1]", " 4", "a,b", "a\r\nb", "\r"]
    ),
)
PARAMS = st.dictionaries(NAMES, st.one_of(st.booleans(), st.integers(), NUMBERS, TEXTS))
VALUES = st.dictionaries(NAMES, NUMBERS)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    times = draw(st.lists(SECONDS, max_size=3))
    reports = tuple(
        Report(number, {**draw(VALUES), "seconds": seconds, "milestone_s": 0.0})
        for number, seconds in enumerate(times, start=1)
    )
    ends = {"train_s": draw(SECONDS), "eval_s": draw(SECONDS)}
    return Recording(draw(PARAMS), draw(st.integers(0, 2**62)), {**draw(VALUES), **ends}, reports)


@pytest.mark.slow
@settings(max_examples=25)
@given(rows=st.lists(recordings(), min_size=1, max_size=3))
@pytest.mark.parametrize("name", ["a.csv", "a.json.gz"])
def test_what_is_written_is_read_back(name: str, rows: list[Recording], tmp_path: Path) -> None:
    read = read_table(write_table(Table(tuple(rows)), tmp_path / name))
    assert read.recordings == tuple(rows)
    for row, again in zip(rows, read.recordings, strict=True):
        assert all(type(again.params[key]) is type(value) for key, value in row.params.items())


def test_the_same_table_is_the_same_file(tmp_path: Path) -> None:
    table = Table((Recording({"bits": 4}, 0, {"train_s": 1.0}),))
    first, second = (write_table(table, tmp_path / f"{n}.csv.gz").read_bytes() for n in "ab")
    assert first == second


def test_what_the_trials_command_prints_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_text(
        "sweep,trial,state,params.bits,params.fc_rule,values.accuracy,values.train_s,seed,failure\n"
        "a,0,complete,4,pyramid,0.9,2.5,7,\n"
        "a,1,failed,8,,,,8,error: no\n"
        "a,2,complete,8,,0.8,2,8,\n"
    )
    assert read_table(path).recordings == (
        Recording({"bits": 4, "fc_rule": "pyramid"}, 7, {"accuracy": 0.9, "train_s": 2.5}),
        Recording({"bits": 8}, 8, {"accuracy": 0.8, "train_s": 2.0}),
    )


def test_epochs_and_seeds_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("params.bits,values.accuracy,values.train_s\n4,0.9,2.5\n")
    (recording,) = read_table(path).recordings
    assert (recording.seed, recording.reports) == (0, ())


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"", "holds no complete trial"),
        ("a.csv", b"params.bits,values.train_s\n", "holds no complete trial"),
        ("a.csv", b"params.bits,values.train_s\n4,fast\n", "could not convert"),
        ("a.csv", b"params.bits,values.train_s\n4,1\n8,\n", "how long it took"),
        ("a.csv", b"params.bits,epoch,values.seconds\n4,1,2.0\n", "lacks the line without"),
        ("a.csv", b"params.bits,epoch,values.seconds\n4,one,2.0\n4,,\n", "invalid literal"),
        ("a.csv", b"\xff\xfe", "codec"),
        ("a.csv.gz", b"no gzip", "gzip"),
        ("a.csv.gz", gzip.compress(b"params.bits", mtime=0)[:-9], "end-of-stream|ended"),
        ("a.json", b"[{}]", "KeyError: 'values'"),
        ("a.json", b"{", "JSONDecodeError"),
        ("a.json", b"[1]", "TypeError|AttributeError"),
        ("a.json", b'[{"params": {}, "values": {"train_s": null}}]', "TypeError"),
        ("a.json", b"[]", "holds no complete trial"),
    ],
)
def test_what_is_no_table_is_a_sentence(
    name: str, content: bytes, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_table(tmp_path / "a.csv")


def test_a_name_says_what_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"got 'a\.txt'"):
        write_table(Table((Recording({}, 0, {"train_s": 1.0}),)), tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []
