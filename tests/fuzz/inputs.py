"""Spoilt inputs: a right one with a few edits, so that they get past the first check."""

from collections.abc import Sequence

from hypothesis import strategies as st

_PIECES = (
    *(b"", b"\0", b"\xff", b"\xc3\x28", b"\n", b"  ", b"\t", b": ", b"- ", b"{", b"}", b"[", b"]"),
    *(
        b"&a ",
        b"*a",
        b"!!python/object:os.system",
        b"<<: ",
        b"|",
        b">",
        b"'",
        b'"',
        b"#",
        b"---\n",
    ),
    *(
        b"null",
        b"true",
        b".nan",
        b".inf",
        b"-1",
        b"0",
        b"1e999",
        b"9" * 40,
        b"1/0",
        b"0x",
        b"99kB",
    ),
    *(b"name: ../../etc\n", b"name: [a]\n", b"((((((((", b"not " * 50, b" and ", b"== == "),
)
_EDIT = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 40),
    st.one_of(st.sampled_from(_PIECES), st.binary(max_size=12)),
)


def spoilt(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the seeds after one to six edits, or bytes that were never anything."""
    edited = st.builds(
        _edited, st.sampled_from(seeds), st.lists(_EDIT, min_size=1, max_size=6), st.booleans()
    )
    return st.one_of(edited, edited, edited, st.binary(max_size=200))


def _edited(seed: bytes, edits: list[tuple[float, int, bytes]], at_start: bool) -> bytes:
    # What stands at the start decides most: the header of an artifact, the first keys of a file.
    reach = min(len(seed), 2_000) if at_start else len(seed)
    data = bytearray(seed)
    for place, removed, added in edits:
        position = int(place * reach)
        data[position : position + removed] = added
    return bytes(data)
