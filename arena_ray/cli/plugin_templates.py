"""What 'arena plugins new' writes: for each scope a plugin that works, and its test. $name is the plugin's."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

from arena_ray.model.states import Scope


@dataclass(frozen=True)
class PluginTemplate:
    """A plugin, its test, and what its author does next."""

    plugin: Template
    test: Template
    next_step: Template


_EXPERIMENT = '''"""Tries some learning rates, and notes the best one."""

from .core import register_plugin


@register_plugin(
    name="$name",
    scope="experiment",
    description="Try some learning rates, and note the best one",
    # What a user may choose: by --set "rates=[1e-3]", or under 'settings' in an experiment file.
    settings_schema={
        "rates": {"type": "list", "default": [1e-4, 3e-4, 1e-3], "min": 1, "description": "The learning rates."},
    },
)
def $name(context, api):
    """Train with each rate."""
    runs = {}
    for rate in context.settings["rates"]:
        # A revision is a configuration of the script. The runs that follow are of it.
        api.create_revision_with_hyperparameters(f"rate {rate}", {"learning_rate": rate})
        runs[rate] = api.create_run()
    # They train side by side, as far as there is room. This waits until all of them are over.
    api.wait_for_completion(list(runs.values()))

    best, best_rate = float("-inf"), None
    for rate, run in runs.items():
        reward = run.get_reward()  # NaN where no episode has ended, which is greater than nothing
        if reward > best:
            best, best_rate = reward, rate
    api.add_note(f"✅ best rate: {best_rate} (reward {best:.2f})")
'''

_EXPERIMENT_TEST = '''"""Tests of the plugin, for pytest. They need no cluster: a function stands for the training."""

from pathlib import Path

from arena_ray.testing import ExperimentPluginContract, PluginStage, load_plugin

PLUGIN = load_plugin(Path(__file__).with_name("${name}_plugin.py"))


def train(training, step):
    """Return the reward of a run at a step: the nearer its rate is to 3e-4, the better."""
    return 100 - abs(training["learning_rate"] - 3e-4) * 1e5


def test_it_notes_the_best_rate():
    stage = PluginStage(PLUGIN, {"rates": [1e-3, 3e-4]}, train=train)
    stage.run()
    assert [run.hyperparameters["learning_rate"] for run in stage.runs] == [1e-3, 3e-4]
    assert [note.text for note in stage.notes] == ["✅ best rate: 0.0003 (reward 100.00)"]


class TestContract(ExperimentPluginContract):
    """What every plugin keeps, such as asking for the same again when its process was killed."""

    def stage(self):
        """Return a stage on which the plugin comes to its end."""
        return PluginStage(PLUGIN, train=train)
'''

_RUN = '''"""Stops runs that have reached too little."""

from .core import register_plugin


@register_plugin(
    name="$name",
    scope="run",
    description="Stop runs that have reached too little",
    settings_schema={
        "after_steps": {"type": "int", "default": 50_000, "min": 1, "description": "Steps that each run may train."},
        "least_return": {"type": "float", "default": 0.0, "description": "What a run must have reached by then."},
    },
)
def $name(context, api):
    """Look at a run while it trains, and say what is to become of it: continue, stop or pause."""
    if context.metadata["global_step"] < context.settings["after_steps"]:
        return "continue"
    reached = context.metadata["episodic_return"]  # NaN where no episode has ended, which is below nothing
    if reached < context.settings["least_return"]:
        # This is called again and again. A note with a key is written once on each run.
        api.add_note(f"🛑 only {reached:.1f} after {context.metadata['global_step']} steps", key="low")
        return "stop", "it has reached too little"
    return "continue"
'''

_RUN_TEST = '''"""Tests of the plugin, for pytest. They need no cluster: a function stands for the training."""

from pathlib import Path

from arena_ray.testing import PluginStage, RunPluginContract, load_plugin

PLUGIN = load_plugin(Path(__file__).with_name("${name}_plugin.py"))


def train(training, step):
    """Return the reward of a run at a step: runs with an odd seed learn nothing."""
    return -1.0 if training.seed % 2 else step / 1000


def test_it_stops_a_run_that_has_reached_too_little():
    stage = PluginStage(PLUGIN, {"after_steps": 20_000}, train=train, seed=1)
    assert stage.look(10_000) == ("continue", "")
    assert stage.look(20_000) == ("stop", "it has reached too little")
    assert [note.text for note in stage.notes] == ["🛑 only -1.0 after 20000 steps"]


def test_it_lets_a_good_run_go_on():
    assert PluginStage(PLUGIN, train=train, seed=2).look(100_000) == ("continue", "")


class TestContract(RunPluginContract):
    """What every plugin keeps that looks at runs."""

    def stage(self):
        """Return a stage with a run for the plugin."""
        return PluginStage(PLUGIN, train=train)
'''

_REVISION = '''"""Refuses revisions with a learning rate that is too high."""

from .core import register_plugin


@register_plugin(
    name="$name",
    scope="revision",
    description="Refuse learning rates that are too high",
    settings_schema={
        "highest_rate": {"type": "float", "default": 0.01, "min": 0.0, "description": "The highest learning rate."},
    },
)
def $name(context, api):
    """Look at a revision before it is made, and return why it is refused: nothing where it is good."""
    flags = context.metadata["flags"]  # all that the script would be given
    rate, highest = flags.get("learning_rate"), context.settings["highest_rate"]
    if rate is not None and rate > highest:
        return [f"learning_rate is {rate}, above {highest}"]
    return []
'''

_REVISION_TEST = '''"""Tests of the plugin, for pytest. They need no cluster."""

from pathlib import Path

from arena_ray.testing import PluginStage, RevisionPluginContract, load_plugin

PLUGIN = load_plugin(Path(__file__).with_name("${name}_plugin.py"))


def test_it_refuses_a_rate_that_is_too_high():
    stage = PluginStage(PLUGIN)
    assert stage.propose(hyperparameters={"learning_rate": 0.5}) == ["learning_rate is 0.5, above 0.01"]


def test_it_lets_others_pass():
    assert PluginStage(PLUGIN).propose(hyperparameters={"learning_rate": 0.001}) == []


class TestContract(RevisionPluginContract):
    """What every plugin keeps that looks at revisions."""

    def stage(self):
        """Return a stage with a revision for the plugin."""
        return PluginStage(PLUGIN)
'''

TEMPLATES = {
    Scope.EXPERIMENT: PluginTemplate(
        Template(_EXPERIMENT), Template(_EXPERIMENT_TEST), Template("arena plugins run $name --spec FILE")
    ),
    Scope.RUN: PluginTemplate(
        Template(_RUN), Template(_RUN_TEST), Template("in an experiment file: run_plugins: [{name: $name}]")
    ),
    Scope.REVISION: PluginTemplate(
        Template(_REVISION),
        Template(_REVISION_TEST),
        Template("in an experiment file: revision_plugins: [{name: $name}]"),
    ),
}
