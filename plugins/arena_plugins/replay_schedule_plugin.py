"""One run whose hyperparameters follow a schedule, such as that of the winner of a population."""

from __future__ import annotations

from arena_ray.model.dimensions import Choice
from arena_ray.model.errors import ArenaError
from arena_ray.model.schedule import Schedule
from arena_ray.plugin import PluginApi, PluginContext, SearchSpace, StudyResult, register_plugin


@register_plugin(
    name="replay_schedule",
    scope="experiment",
    description="One run whose hyperparameters change at given steps, while it trains",
    icon="🎼",
    author="arena_ray",
    tags=["hyperparameters", "schedule"],
    settings_schema={
        "schedule": {
            "type": "schedule",
            "required": True,
            "live": "allow_restart",
            "description": "The values at step 0, and from which steps on which of them are others.",
        },
        "allow_restart": {
            "type": "boolean",
            "default": False,
            "description": "Whether the run may start anew, warm, to change what is fixed while its script runs.",
        },
        "metric": {
            "type": "string",
            "default": "episodic_return",
            "min": 1,
            "description": "What is its score at each change: episodic_return, or a tag that the script logs.",
        },
        "mode": {
            "type": "choice",
            "default": "max",
            "options": ["max", "min"],
            "description": "Whether more of it is better, or less.",
        },
    },
)
def replay_schedule(context: PluginContext, api: PluginApi) -> StudyResult:
    """Train one run, with the experiment's seed."""
    settings = context.settings
    schedule: Schedule = settings["schedule"]
    result = api.tune(
        param_space=SearchSpace(dimensions={name: Choice(options=(value,)) for name, value in schedule.first.items()}),
        num_samples=1,
        scheduler=settings["schedule"],
        metric=settings["metric"],
        mode=settings["mode"],
    )
    last = schedule.after(len(schedule.steps))
    reached = (api.db.runs.find_one({"execution_id": context.execution_id}) or {}).get("hyperparameters", {})
    missed = [name for name, value in last.items() if reached.get(name) != value]
    if missed and not context.should_stop:
        raise ArenaError(
            f"the run ended without the last values of {', '.join(missed)}; "
            f"'arena lineage {context.experiment}' tells which changes took hold, and its training how far it came"
        )
    return result
