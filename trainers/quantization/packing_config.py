"""In which form a packed network is stored, beside its bits; importable without torch."""

from dataclasses import dataclass

VECTOR_BITS = (32, 16)
HEADERS = ("json", "compact")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingConfig:
    """The form of a packed file; the default is what it always was.

    >>> PackingConfig(vector_bits=16).merge_norms
    False

    Attributes:
        merge_norms: Whether to store a batch norm as two vectors; see `trainers.artifact.norms`.
        vector_bits: Of each bias, each vector of a norm, each step and each level of a codebook:
            32 or 16. Floats of 16 bits have 11 significant ones; what is beyond 65,504 becomes
            65,504.
        header: ``json`` lists each tensor with its place; ``compact`` lists equal parts of the
            network once, see `trainers.artifact.compact`.
    """

    merge_norms: bool = False
    vector_bits: int = 32
    header: str = "json"

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the message says what would be.
        """
        if not isinstance(self.merge_norms, bool):
            raise ValueError(f"packing.merge_norms is {self.merge_norms!r}; it is true or false.")
        if isinstance(self.vector_bits, bool) or self.vector_bits not in VECTOR_BITS:
            raise ValueError(f"packing.vector_bits is {self.vector_bits!r}; it is 32 or 16.")
        if self.header not in HEADERS:
            raise ValueError(
                f"packing.header is {self.header!r}; accepted are {' and '.join(HEADERS)}."
            )
