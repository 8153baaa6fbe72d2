"""The private names of Tune that the engine leans on: another Ray must fail here, loudly, and not in somebody's run."""

from __future__ import annotations

import inspect

import ray
from ray.air.execution._internal import RayActorManager
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from arena_ray.model.spec import Resources
from arena_ray.scheduling.tune_engine import placement


def test_this_is_the_ray_that_the_engine_was_written_for() -> None:
    assert ray.__version__.startswith("2.60.")


def test_the_controller_is_what_the_engine_takes_it_for() -> None:
    source = inspect.getsource(TuneController.__init__)
    assert "self._actor_manager = RayActorManager(" in source
    assert isinstance(inspect.getattr_static(RayActorManager, "num_total_actors"), property)
    assert "timeout" in inspect.signature(RayActorManager.next).parameters
    assert "should_checkpoint" in inspect.signature(TuneController.pause_trial).parameters
    assert "may be added at any time" in (TuneController.add_trial.__doc__ or "")
    for name in ("step", "stop_trial", "cleanup", "setup_experiments"):
        assert callable(getattr(TuneController, name))


def test_a_trial_takes_what_the_engine_gives_it() -> None:
    parameters = inspect.signature(Trial.__init__).parameters
    given = {"config", "trial_id", "storage", "stopping_criterion", "experiment_tag", "max_failures"}
    assert given | {"placement_group_factory"} <= set(parameters)


def test_a_run_is_placed_as_one_bundle_of_what_it_asks_for() -> None:
    factory = placement(Resources(cpu=0.5, gpu=0.25, memory_gib=2))
    assert factory.bundles == [{"CPU": 0.5, "GPU": 0.25, "memory": 2 << 30}]
    assert placement(Resources(cpu=2)).bundles == [{"CPU": 2.0}]
