"""What does not fit into memory is refused before it is asked for."""

import pytest

import flowlab as fl
from flowlab.core import memory
from flowlab.core.memory import machine_memory, require_memory, shown_bytes


def test_what_fits_passes_and_what_does_not_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 2**34)
    require_memory(2**34, "a matrix")
    with pytest.raises(
        fl.TooLarge, match=r"a matrix needs 16\.0 GiB of memory, but this machine has 16\.0 GiB; use smaller widths"
    ):
        require_memory(2**34 + 1, "a matrix")
    with pytest.raises(fl.TooLarge, match=r"7\.3 TiB.*; wait"):
        require_memory(8 * 10**12, "a matrix", "wait")
    # Numbers of any length make a short sentence.
    with pytest.raises(fl.TooLarge) as told:
        require_memory(8 * 10**9000, "a matrix")
    assert len(str(told.value)) < 200


def test_where_the_system_does_not_tell_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    require_memory(10**30, "a matrix")


def test_this_machine_has_some_memory():
    found = machine_memory()
    assert found is None or 2**26 < found < 2**50


@pytest.mark.parametrize(
    ("lines", "files", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "1000", "memory.max": "3000"}, [1000, 3000]),
        ("8:memory:/x\n3:cpu:/y\n", {"memory/x/memory.limit_in_bytes": "500", "cpu/y/memory.max": "1"}, [500]),
        # Inside a container: the path is that of the host, the group is the root of what is mounted.
        ("0::/docker/0123\n", {"memory.max": "700"}, [700]),
        ("nothing of the kind", {}, []),
    ],
)
def test_limits_of_control_groups_are_read(tmp_path, lines, files, limits):
    (tmp_path / "own").write_text(lines)
    for name, text in files.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(text + "\n")
    assert memory._cgroup_limits(tmp_path / "own", tmp_path / "root") == limits
    assert memory._cgroup_limits(tmp_path / "none", tmp_path / "root") == []


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**40, "1.0 TiB"),
        (8 * 10**18, "6.9 EiB"),
        (10**60, "over 10^59 bytes"),
    ],
)
def test_bytes_are_shown_in_units(size, text):
    assert shown_bytes(size) == text
