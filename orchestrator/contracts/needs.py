"""What one trial is given of a node."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.quantities import human


@dataclass(frozen=True, slots=True)
class Needs:
    """What one trial is given, all of it on one node.

    Attributes:
        cpus: CPUs.
        gpus: GPUs; may be a fraction of one.
        memory: Bytes of memory that Ray reserves; 0 reserves none.
        custom: Amounts of the cluster's custom resources, by name.
        labels: Labels that the node must have, by name.
    """

    cpus: int = 1
    gpus: float = 0
    memory: float = 0
    custom: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_bundle(self) -> dict[str, float]:
        """Return the amounts by Ray's names; labels apart.

        >>> Needs(cpus=2, memory=1e9).as_bundle()
        {'CPU': 2, 'GPU': 0, 'memory': 1000000000.0}
        """
        memory = {"memory": self.memory} if self.memory else {}
        return {"CPU": self.cpus, "GPU": self.gpus, **memory, **self.custom}

    def __str__(self) -> str:
        """Describe it in words."""
        words = [amount_in_words(name, amount) for name, amount in self.as_bundle().items()]
        words += [f"the label {name}={value}" for name, value in self.labels.items()]
        return f"{', '.join(words[:-1])} and {words[-1]}"


def amount_in_words(name: str, amount: float) -> str:
    """Describe an amount of a resource by its name in Ray.

    >>> amount_in_words("CPU", 2), amount_in_words("memory", 4e9)
    ('2 CPUs', '4.00 GB of memory')
    """
    if name == "memory":
        return f"{human('memory_bytes', amount)} of memory"
    plural = "s" if name in ("CPU", "GPU") else ""
    return f"{amount:g} {name}{plural}"
