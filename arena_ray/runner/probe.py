"""Probe a script: let it train a moment, save it, restore it in a new process, and see whether both go on alike."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena_ray.model.paths import CheckpointFiles
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import Resume
from arena_ray.runner.graph_export import NoGraph, ask_for_graph, without_graph
from arena_ray.runner.protocol import ScriptArgument
from arena_ray.runner.trial import Place, Trial, TrialFailed
from arena_ray.runner.verdict import LeftOut, Subject, Verdict, judge
from arena_ray.runner.wire import Message

PROBE_TIMEOUT_S = 300.0
_PASSES = 3
"""Passes of the main loop before the checkpoint; fewer where they take many steps."""
_STEPS = 128
"""Steps of the script, at least, before both are compared again."""
_SHORTENED = {"learning_starts": 48, "buffer_size": 4096, "num_eval_episodes": 1}
"""Flags that are lowered where the script has them: so it learns within the probe, and a checkpoint is small."""


def shortened(arguments: Sequence[ScriptArgument]) -> dict[str, FlagValue]:
    """Return the flags that a probe gives a script besides its own defaults."""
    return {
        one.name: _SHORTENED[one.name]
        for one in arguments
        if one.name in _SHORTENED and one.overwritten_line is None and _may_be_larger(one, _SHORTENED[one.name])
    }


def _may_be_larger(argument: ScriptArgument, limit: int) -> bool:
    if argument.default is None:  # computed, as int(1e6)
        return argument.type == "int" and not argument.is_required
    return isinstance(argument.default, int | float) and argument.default > limit


def probe_environment(environ: Mapping[str, str], *, needs_cuda: bool = False) -> dict[str, str]:
    """Return the environment of a probe's processes: one thread, no GPU that is not needed, nothing sent anywhere."""
    env = {key: value for key, value in environ.items() if not key.startswith("RAY_")}
    env.setdefault("PYTHONHASHSEED", "0")
    env.update(OMP_NUM_THREADS="1", WANDB_MODE="disabled")
    if not needs_cuda:
        env["CUDA_VISIBLE_DEVICES"] = ""
    return env


def run_probe(
    command: Sequence[str],
    subject: Subject,
    *,
    env: Mapping[str, str],
    folder: Path,
    flags: Mapping[str, FlagValue],
    timing_tags: frozenset[str] = frozenset(),
    timeout_s: float = PROBE_TIMEOUT_S,
) -> Verdict:
    """Return how the script resumes. What stands in its way is part of the verdict; it does not raise.

    Args:
        command: Interpreter, script and flags.
        subject: What the verdict is about.
        env: Environment of its processes: see :func:`probe_environment`.
        folder: Empty; takes checkpoints and output.
        flags: Of the command, for the record.
        timing_tags: Metrics that differ between two equal trainings.
        timeout_s: Seconds for all of it.
    """
    deadline = time.monotonic() + timeout_s
    probe = _Probe(timing_tags)
    try:
        for name in ("first", "new"):  # at once: most of the time goes into imports
            probe.trials.append(Trial(command, env=env, folder=folder / name, deadline=deadline))
        resume, reason = probe.run()
    except (TrialFailed, OSError, ValueError) as exc:
        _, lacking = judge(left_out=probe.left_out, differing=(), incomparable=None)
        resume, reason = Resume.NONE, "; ".join(filter(None, [probe.place_of_failure + str(exc), lacking]))
    finally:
        for trial in probe.trials:
            trial.close()
    return Verdict(
        subject=subject,
        resume=resume,
        reason=reason,
        left_out=probe.left_out,
        differing=probe.differing,
        boundaries=_pair(probe.places, "boundary"),
        steps=_pair(probe.places, "step"),
        flags=dict(flags),
        environments=probe.environments,
        tags=probe.tags,
        policy=probe.policy,
        probed_at=datetime.now(UTC),
    )


def _pair(places: Sequence[Place], name: str) -> tuple[int, int] | None:
    found = [getattr(place, name) for place in places]
    return (found[0], found[1]) if len(found) == 2 else None


class _Probe:
    """What a probe's two processes are asked, and what they have answered."""

    def __init__(self, timing_tags: frozenset[str]) -> None:
        self._timing_tags = timing_tags
        self._unrepeated: tuple[LeftOut, ...] = ()
        self.trials: list[Trial] = []
        self.places: list[Place] = []
        self.place_of_failure = ""
        self.environments: tuple[str, ...] = ()
        self.differing: tuple[str, ...] = ()
        self.policy: dict[str, Any] = {}

    def run(self) -> tuple[Resume, str | None]:
        """Return how the script resumes, and why it is not ``exact``.

        Raises:
            TrialFailed: It cannot be resumed at all.
        """
        first, new = self.trials
        incomparable = self._train(first)
        self.place_of_failure = "a new process cannot go on from its checkpoint: "
        answers = self._train_again(new)
        self.place_of_failure = ""
        if answers is None:
            self.differing = ("the course of its main loop",)
        else:
            names = [name for answer in answers for name in answer["differing"]] + self._differing_tags()
            self.differing = tuple(dict.fromkeys(names))
            incomparable = incomparable or next((one["reason"] for one in answers if one["reason"]), None)
        return judge(left_out=self.left_out, differing=self.differing, incomparable=incomparable)

    def _train(self, first: Trial) -> str | None:
        """Train, and save twice; return why its environments could not be examined, None where they were."""
        message = first.held()
        for _ in range(_PASSES):
            if not message["ended"] and message["step"] < _STEPS:
                message = first.go_to(message["step"] + 1)
        if message["ended"]:
            raise TrialFailed(f"its main loop is over at boundary {message['boundary']}: too soon to be probed")
        saved = first.snapshot("saved")
        first.send("examine")
        examined = first.hear("examined")
        self.environments = tuple(examined["environments"])
        self._unrepeated = tuple(LeftOut(name=one["name"], why=one["why"]) for one in examined["unrepeated"])
        first.go_to(saved.step + _STEPS)
        self.places = [saved, first.snapshot("later")]
        description = json.loads(CheckpointFiles(self.places[1].path).policy_description.read_text(encoding="utf-8"))
        self.policy = {key: description.get(key) for key in ("environment", "policy", "missing")}
        self._try_graph(first)
        first.close()
        reason: str | None = examined["reason"]
        return reason

    def _try_graph(self, first: Trial) -> None:
        """Find out whether a graph acts where no policy is described; *first* is of no use afterwards."""
        if self.policy["policy"] is not None or self.policy["environment"] is None:
            return
        try:
            answer = ask_for_graph(first, self.places[1].path.with_name("graph.pt2"))
        except (NoGraph, TrialFailed) as exc:
            self.policy["missing"] = without_graph(self.policy["missing"], exc)
        else:
            self.policy.update(environment=answer["environment"], policy=answer["policy"], missing=None)

    def _train_again(self, new: Trial) -> list[Message] | None:
        """Restore and train on; return what differs there and later, None where it came to another place."""
        saved, later = self.places
        new.held()
        new.send("restore", path=str(saved.path))
        new.hear("restored")
        restored = new.snapshot("saved")
        new.go_to(later.step)
        again = new.snapshot("later")
        if (again.boundary, again.step) != (later.boundary, later.step):
            return None
        answers = []
        for ours, theirs in ((saved, restored), (later, again)):
            new.send("compare", path=str(ours.path), other=str(theirs.path))
            answers.append(new.hear("compared"))
        return answers

    def _differing_tags(self) -> list[str]:
        first, new = (self._rows(trial) for trial in self.trials)
        return [f"metric {tag}" for tag in {**first, **new} if first.get(tag) != new.get(tag)]

    def _rows(self, trial: Trial) -> dict[str, list[tuple[int, Any]]]:
        """Return what was logged between both places, by tag."""
        rows: dict[str, list[tuple[int, Any]]] = {}
        begin, end = (place.boundary for place in self.places)
        for boundary, step, scalars in trial.logged:
            for tag, value in scalars.items():
                if begin <= boundary < end and tag not in self._timing_tags:
                    rows.setdefault(tag, []).append((step, value))
        return rows

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What the checkpoints do not hold, each name once; that a copy differs says more than that nothing did."""
        said = [*self._unrepeated, *(one for trial in self.trials for one in trial.skipped)]
        return tuple({one.name: one for one in reversed(said)}.values())[::-1]

    @property
    def tags(self) -> tuple[str, ...]:
        """What the script logged."""
        return tuple(sorted({tag for trial in self.trials for _, _, scalars in trial.logged for tag in scalars}))
