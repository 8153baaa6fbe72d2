from __future__ import annotations

import pytest

from arena_ray.cli.plan import in_short, plan
from arena_ray.model.spec import PluginCall


def test_without_a_plugin_the_command_is_all() -> None:
    assert plan(None, "python ppo.py") == ["will run: python ppo.py"]


def test_a_plugin_is_told_with_its_settings_its_search_space_and_the_command_of_one_run() -> None:
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "ent_coef": {"uniform": [0, 0.05]}}
    settings = {"population": 4, "metric": "episodic_return", "param_space": space, "synchronous": False}
    assert plan(PluginCall(name="pbt", settings=settings), "python ppo.py") == [
        "will run: plugin pbt with population 4, metric episodic_return, synchronous no",
        "tuning: learning_rate loguniform [0.0001, 0.01], ent_coef uniform [0, 0.05]",
        "each run: python ppo.py",
    ]


def test_a_plugin_without_settings_is_its_name() -> None:
    assert plan(PluginCall(name="watch"), "c") == ["will run: plugin watch", "each run: c"]


@pytest.mark.parametrize(
    ("value", "short"),
    [
        ({"gamma": {"choice": [0.9, 0.99], "when": {"algo": ["a", "b"]}}}, "gamma choice [0.9, 0.99] when algo [a, b]"),
        ({"factors": [1.2, 0.8]}, "factors [1.2, 0.8]"),
        ({"max_steps": None, "odd": 3}, "max_steps none, odd 3"),
    ],
)
def test_settings_are_written_without_braces(value: object, short: str) -> None:
    assert in_short(value) == short
