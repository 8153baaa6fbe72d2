from __future__ import annotations

from pathlib import Path

from arena_ray.orchestrator.reserve import RESERVE_BYTES, Reserve


def test_it_takes_space_once_and_gives_it_back_once(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    reserve = Reserve(path)
    assert not reserve.release()
    reserve.fill()
    assert path.stat().st_blocks * 512 >= RESERVE_BYTES
    written_at = path.stat().st_mtime_ns
    reserve.fill()
    assert path.stat().st_mtime_ns == written_at
    assert reserve.release()
    assert not path.exists()
    assert not reserve.release()


def test_where_there_is_no_room_there_is_no_reserve(tmp_path: Path) -> None:
    Reserve(tmp_path / "nowhere" / "reserve").fill()
    assert list(tmp_path.iterdir()) == []
