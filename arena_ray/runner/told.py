"""What a training process tells over the wire, as events."""

from __future__ import annotations

from collections.abc import Iterator

from arena_ray.model.events import CheckpointSaved, EpisodeSummary, TrainingStep, decode_number
from arena_ray.runner.protocol import Runner
from arena_ray.runner.wire import Message


def step_events(message: Message, runner: Runner) -> Iterator[TrainingStep | EpisodeSummary]:
    """Yield what the script logged, and the episode that it tells of."""
    scalars = {tag: decode_number(value) for tag, value in message["scalars"].items()}
    event = TrainingStep(message["boundary"], message["step"], scalars, message["wall_time"])
    yield event
    if episode := runner.episodes(event):
        yield episode


def episode_event(message: Message) -> EpisodeSummary:
    """Return the episode that a trainer tells of itself."""
    returns, length = (decode_number(message[key]) for key in ("episodic_return", "episodic_length"))
    return EpisodeSummary(message["boundary"], message["step"], returns, length, message["wall_time"])


def checkpoint_event(message: Message) -> CheckpointSaved:
    """Return the checkpoint that was written."""
    keys = ("boundary", "digest", "policy_digest", "size_bytes")
    return CheckpointSaved(
        **{key: message[key] for key in keys},
        global_step=message["step"],
        uri=message["path"],
        is_final=bool(message.get("ended")),
        generation=message.get("generation", 0),
        left_out=tuple(f"{item['name']} ({item['why']})" for item in message.get("skipped") or ()),
    )


def skipped_notes(message: Message) -> list[str]:
    """Return a line for each part of the state that was not captured or not put back."""
    skipped = message.get("skipped") or ()
    return [f"not captured: {item['name']} ({item['why']}); resume is warm, not exact" for item in skipped]
