"""The shipped contracts find what they are there to find."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from arena_ray.model.errors import PluginMistake
from arena_ray.plugin import PluginApi, PluginContext, PluginStopped, register_plugin
from arena_ray.testing import (
    DeclarationContract,
    ExperimentPluginContract,
    PluginStage,
    RevisionPluginContract,
    RunPluginContract,
)

COUNTER = itertools.count()


@register_plugin(
    name="bad", scope="experiment", description="bad in every way", settings_schema={"silent": {"type": "int"}}
)
def bad(context: PluginContext, api: PluginApi) -> None:
    try:
        api.create_run()
    except PluginStopped as exc:
        raise RuntimeError("I was not done") from exc
    api.add_note(f"call {next(COUNTER)}")


class Bad(ExperimentPluginContract):
    def stage(self) -> PluginStage:
        return PluginStage(bad)


def test_a_setting_without_a_description_is_found() -> None:
    with pytest.raises(AssertionError, match=r"without a description: \['silent'\]"):
        DeclarationContract().test_each_setting_is_described(Bad().stage().plugin)


def test_a_function_that_is_not_deterministic_is_found() -> None:
    with pytest.raises(AssertionError, match="must not depend on the time, on chance"):
        Bad().test_it_asks_for_the_same_when_its_process_is_started_anew()


def test_a_function_that_fails_when_it_is_stopped_is_found() -> None:
    with pytest.raises(RuntimeError, match="I was not done"):
        Bad().test_it_can_be_stopped_at_any_call()


def test_a_verdict_on_a_run_that_is_none_is_found() -> None:
    @register_plugin(name="mumbler", scope="run", description="says something")
    def mumbler(context: PluginContext, api: PluginApi) -> Any:
        return "continue" if context.metadata["global_step"] < 400_000 else "well"

    class Mumbler(RunPluginContract):
        def stage(self) -> PluginStage:
            return PluginStage(mumbler)

    with pytest.raises(PluginMistake, match="it said 'well' of a run"):
        Mumbler().test_it_says_of_a_run_whether_it_goes_on_stops_or_pauses()


def test_a_refusal_without_a_reason_is_found() -> None:
    @register_plugin(name="grumpy", scope="revision", description="refuses everything")
    def grumpy(context: PluginContext, api: PluginApi) -> Any:
        return ""

    class Grumpy(RevisionPluginContract):
        def stage(self) -> PluginStage:
            return PluginStage(grumpy)

    with pytest.raises(AssertionError, match="does not say why"):
        Grumpy().test_it_says_of_a_revision_why_it_is_refused()


def test_a_contract_without_a_stage_says_what_it_needs() -> None:
    with pytest.raises(TypeError, match=r"ExperimentPluginContract .*'?stage'?"):
        ExperimentPluginContract()
