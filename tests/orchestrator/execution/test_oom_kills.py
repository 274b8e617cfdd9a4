"""The kernel's count of processes that it killed for memory."""

from pathlib import Path

import pytest

from orchestrator.execution.oom_kills import out_of_memory_kills

V2_EVENTS = "low 0\nhigh 0\nmax 5\noom 9\noom_kill 3\noom_group_kill 0\n"
V1_CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, None),
        ({"proc/vmstat": "nr_free_pages 1\noom_kill 7\n"}, 7),
        ({"proc/vmstat": "nr_free_pages 1\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.events": V2_EVENTS}, 3),
        # In a container, which sees the host's path and its own files.
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/memory.events": V2_EVENTS}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": V2_EVENTS}, 3),
        (
            {
                "proc/self/cgroup": "5:cpu,memory:/x\n1:name=systemd:/\n0::/\n",
                "sys/fs/cgroup/memory/x/memory.oom_control": V1_CONTROL,
                "sys/fs/cgroup/memory/memory.oom_control": "oom_kill 99\n",
                "proc/vmstat": "oom_kill 7\n",
            },
            4,
        ),
        # The top cgroup of a machine has no such file.
        ({"proc/self/cgroup": "0::/\n", "proc/vmstat": "oom_kill 7\n"}, 7),
    ],
)
def test_the_count_is_that_of_the_nearest_group_that_counts(
    tmp_path: Path, files: dict[str, str], count: int | None
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert out_of_memory_kills(tmp_path) == count


def test_the_real_count_does_not_fall() -> None:
    first, second = out_of_memory_kills(), out_of_memory_kills()
    assert (first is None) == (second is None)
    assert first is None or (second is not None and 0 <= first <= second)
