from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from arena_ray.runner.output import MAX_LINE_BYTES, OutputTail, last_lines


def texts(tail: OutputTail, *, is_last: bool = False) -> list[str]:
    return [line.text for line in tail.read(is_last=is_last)]


def test_a_line_is_told_when_it_is_complete_and_the_rest_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    tail = OutputTail(path, stream="stdout")
    assert texts(tail) == []
    path.write_text("one\ntw")
    assert texts(tail) == ["one"]
    with path.open("a") as file:
        file.write("o\nthree")
    assert texts(tail) == ["two"]
    assert texts(tail, is_last=True) == ["three"]
    tail.close()


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"x" * (3 * MAX_LINE_BYTES) + b"\nend\n")
    tail = OutputTail(path, stream="stdout")
    first, last = texts(tail)
    tail.close()
    assert (first, last) == ("x" * MAX_LINE_BYTES + "…", "end")


@given(data=st.binary(), cuts=st.lists(st.integers(0, 50)))
def test_any_bytes_in_any_pieces_give_the_same_lines(tmp_path_factory, data: bytes, cuts: list[int]) -> None:
    path = tmp_path_factory.mktemp("o") / "out"
    path.touch()
    tail, seen = OutputTail(path, stream="stderr"), []
    position = 0
    for cut in [*cuts, len(data)]:
        with path.open("ab") as file:
            file.write(data[position : position + cut])
        position += cut
        seen += texts(tail)
    seen += texts(tail, is_last=True)
    tail.close()
    expected = [line.decode("utf-8", errors="replace").rstrip("\r") for line in data.split(b"\n")]
    assert seen == (expected[:-1] if not data or data.endswith(b"\n") else expected)


def test_the_last_lines_of_a_file_or_of_none(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none", 3) == []
    (tmp_path / "err").write_text("".join(f"{n}\n" for n in range(100)))
    assert last_lines(tmp_path / "err", 3) == ["97", "98", "99"]
