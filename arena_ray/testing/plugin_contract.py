"""What every plugin must keep, as tests: a subclass in a test file is all that its author writes."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from arena_ray.model.errors import SpecError
from arena_ray.model.spec import Name
from arena_ray.model.states import ExecutionState, Scope
from arena_ray.plugin.description import PluginDescription, describe_plugin
from arena_ray.plugin.registration import Plugin
from arena_ray.plugin.schema import check_settings
from arena_ray.testing.stage import PluginStage

MOST_STOPS = 25
"""At so many of its calls at most a plugin is stopped, one after the other."""


class DeclarationContract:
    """What must hold of the mark of a plugin. A subclass has a fixture ``plugin``, with one or several."""

    def test_its_name_is_one_that_an_experiment_file_may_give(self, plugin: Plugin) -> None:
        assert TypeAdapter(Name).validate_python(plugin.name) == plugin.name

    def test_it_describes_itself_in_one_line(self, plugin: Plugin) -> None:
        assert plugin.description.strip(), "its description is empty"
        assert "\n" not in plugin.description, "its description has more than one line"

    def test_its_scope_is_known_and_its_file_is_there(self, plugin: Plugin) -> None:
        assert plugin.scope in Scope
        assert Path(plugin.origin).is_file(), f"there is no file {plugin.origin}"

    def test_each_setting_is_described(self, plugin: Plugin) -> None:
        silent = [name for name, each in plugin.schema.settings.items() if not each.description]
        assert silent == [], f"without a description: {silent}"

    def test_each_default_is_good_and_travels_as_plain_data(self, plugin: Plugin) -> None:
        for setting in plugin.schema.settings.values():
            if setting.default is not None:
                travelled = json.loads(json.dumps(setting.default))
                expected = setting.fit(setting.default, place=setting.name)
                assert setting.fit(travelled, place=setting.name) == expected

    def test_a_setting_that_it_does_not_know_is_told_with_what_else_is_wrong(self, plugin: Plugin) -> None:
        with pytest.raises(SpecError) as caught:
            check_settings(plugin.schema, {"no_such_setting": 1}, place="plugin.settings")
        first, *others = str(caught.value).splitlines()
        assert first.startswith("plugin.settings.no_such_setting: there is no such setting; ")
        assert [line for line in others if not line.startswith("plugin.settings")] == []

    def test_a_description_of_it_travels_as_json(self, plugin: Plugin) -> None:
        described = describe_plugin(plugin)
        assert PluginDescription.model_validate_json(described.model_dump_json()) == described


class StagedContract(DeclarationContract, ABC):
    """A contract about a plugin on a stage; the classes below are for one scope each."""

    @abstractmethod
    def stage(self) -> PluginStage:
        """Return a new stage for the plugin, on which it comes to its end."""

    @pytest.fixture
    def plugin(self) -> Plugin:
        """Return the plugin of the stage."""
        return self.stage().plugin


class ExperimentPluginContract(StagedContract):
    """What must hold of a plugin with scope experiment.

    ::

        class TestRates(ExperimentPluginContract):
            def stage(self):
                return PluginStage(rates, train=lambda training, step: step)
    """

    def test_it_asks_for_the_same_when_its_process_is_started_anew(self) -> None:
        stage = self.stage()
        stage.run()
        stage.check_replay()

    def test_it_can_be_stopped_at_any_call(self) -> None:
        stage = self.stage()
        stage.run()
        for number in range(0, stage.calls, max(1, stage.calls // MOST_STOPS)):
            stopped = self.stage()
            stopped.run(stop_at_call=number)
            assert stopped.state is ExecutionState.STOPPED, f"it made no call {number} when it was called again"
            stopped.check_replay()


class RunPluginContract(StagedContract):
    """What must hold of a plugin with scope run: it is shown the first run of the stage from its begin to its end."""

    def test_it_says_of_a_run_whether_it_goes_on_stops_or_pauses(self) -> None:
        stage = self.stage()
        for report in range(stage.reports + 1):
            word, _ = stage.look(stage.steps * report // stage.reports)
            if word != "continue":
                break


class RevisionPluginContract(StagedContract):
    """What must hold of a plugin with scope revision: it is shown the stage's own revision."""

    def test_it_says_of_a_revision_why_it_is_refused(self) -> None:
        assert all(reason.strip() for reason in self.stage().propose()), "it refuses a revision, and does not say why"
