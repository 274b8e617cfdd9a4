"""A head without slots and two nodes of one CPU each, whose disks are their own.

One start serves all tests of this folder. Without the right to make namespaces they skip and say
so.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.private_nodes import NamespaceError, PrivateNodes, private_network


@pytest.fixture(scope="session")
def nodes() -> Iterator[PrivateNodes]:
    with TemporaryDirectory(prefix="pn") as folder:
        try:
            with private_network((2, 3)):
                state = Path(folder, "state")
                state.mkdir()
                cluster = PrivateNodes(state, Path(folder))
                try:
                    cluster.start_head()
                    for number in (2, 3):
                        cluster.add(number)
                        cluster.wait_for(number)
                    yield cluster
                finally:
                    cluster.close()
        except NamespaceError as error:
            pytest.skip(str(error))
