"""Which metrics a script logs, as its source tells, and as a probe has seen."""

from __future__ import annotations

import pytest

from arena_ray.runner.metric_tags import Metric, compare_metrics, read_metrics


@pytest.mark.parametrize(
    ("argument", "tag"),
    [
        ('"losses/loss"', "losses/loss"),
        ('tag="losses/loss"', "losses/loss"),
        ('f"charts/return-{player}"', "charts/return-*"),
        ('"charts/" + name', "charts/*"),
        ('prefix + "/loss"', "*/loss"),
        ("name", None),
        ('f"{a}/{b}"', None),
        ("", None),
    ],
)
def test_a_tag_is_read_as_far_as_it_is_written_out(argument: str, tag: str | None) -> None:
    [found] = read_metrics([f"\nwriter.add_scalar({argument})\n"], path="a.py")
    assert (found.tag, found.line, found.is_seen) == (tag, 2, None)


def test_a_tag_that_is_logged_twice_is_told_once_and_computed_ones_come_last() -> None:
    source = (
        "w.add_scalar(x, 1)\nw.add_scalar('b', 1)\nw.add_scalar('a', 2)\nw.add_scalar('b', 3)\nw.add_text('c', '')\n"
    )
    assert [(one.tag, one.line) for one in read_metrics([source], path="a.py")] == [("a", 3), ("b", 2), (None, 1)]


def test_what_a_probe_has_seen_is_set_against_what_was_read() -> None:
    read = [Metric(tag="a", line=1), Metric(tag="b/*", line=2), Metric(tag="c", line=3), Metric(tag=None, line=4)]
    found = compare_metrics(read, ["a", "b/1", "b/2", "d+"])
    assert [(one.tag, one.is_seen) for one in found] == [
        ("a", True),
        ("b/*", True),
        ("c", False),
        (None, None),
        ("d+", True),
    ]
