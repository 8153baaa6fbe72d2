"""The same race under Ray's stock PopulationBasedTraining. Run as a script: a race a line on stdin, outcomes on stdout.

The peer is what a good user of Tune would write who has our harness: :class:`Training`, a class trainable. It starts
the script under the harness, and lets it go on for one perturbation interval a step. What it reports is, as ours, the
mean return of the last 20 episodes since it took over another trial's weights. A checkpoint is a snapshot of the
harness, written where Tune wants it. To restore one is to load its weights and optimizer into the training process, and
to set the hyperparameters there.

That is fair, and where there was a choice the peer has the benefit of it:

- Script, flags, search space, the values and seeds that the members begin with, interval, quantiles, factors, CPUs and
  Ray's own settings are the same. The scheduler is Ray's as it is, in a Ray of its own that does nothing else.
- It speaks to the training process directly: nothing is archived or registered, no event waits for a disk. It reports
  once an interval, and checkpoints only when the scheduler asks for one; Tune's loggers are off.
- Without ``reuse_actors`` Tune ends the actor at an exploit, and the training process with it. The new actor starts the
  new process at once, while Tune is still to ask for the checkpoint to be restored.
- With ``reuse_actors`` the process lives as long as its actor: a trial that comes to it loads its checkpoint there, in
  place, as ours do. Only a trial without a checkpoint, at its very first step, has a new one started: the weights in
  the old one are another trial's.
- Environments, random generators and step counters are those of the process that the weights come to, as in our own
  exploits. Where Tune pauses a trial, ours goes on exactly and the peer's does not: that costs it nothing.
- An exploit counts from the moment the stock scheduler has chosen the donor and has its checkpoint in hand; that it
  blocks until that is written comes before.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import race as of_race
import ray
from race import ENV_ID, FLAGS, RULES, SCRIPT, SPACE, Outcome, Race, best_of, mean_return
from ray import cloudpickle, tune
from ray.tune.schedulers import PopulationBasedTraining

import arena_ray.harness
from arena_ray.model.events import REPORTED_EPISODES, TrainingStep, decode_number
from arena_ray.runner.discovery import load_runners
from arena_ray.runner.preflight import training_command
from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.takeover import Takeover, carry_out
from arena_ray.runner.tuning import live_set

SNAPSHOT, SCORE = "snapshot", "score.json"
MANY = 1000
"""A process that serves one trial after the other trains longer than any of them: its script is not to end before."""


class Training(tune.Trainable):
    """One trial: a training process that holds between two steps."""

    def setup(self, config: dict[str, Any]) -> None:
        self._runner = load_runners().runners["cleanrl"]
        self._script = self._runner.scripts()[config["script"]]
        self._report = self._runner.inspect(self._script.read_text(), path=self._script.name)
        self._start()

    def _flags(self) -> dict[str, Any]:
        fixed = {**self.config["flags"], "total_timesteps": MANY * self.config["interval"]}
        return fixed | {name: self.config[name] for name in self.config["tuned"]}

    def _start(self) -> None:
        directory = Path(self.config["directory"], self.trial_id)
        number = len(list(directory.glob("*")))
        cwd = directory / str(number)
        cwd.mkdir(parents=True)
        # The first process of a trial has its seed; another one is not to repeat what that one, or a donor's, did.
        seed = zlib.crc32(f"{self.trial_id}/{number}".encode()) if number else self.config["seed"]
        script = training_command(
            self._runner, script=self._script, flags=self._flags(), env_id=self.config["env_id"], seed=seed
        )
        harness = ["-u", str(Path(arena_ray.harness.__file__).parent), "--fd", "{fd}", "--attempt", "1"]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        self._process = GuardedProcess.start(
            [script[0], *harness, "--tensorboard", str(cwd), "--", *script[1:]],
            cwd=cwd,
            env={**inherited, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": ""},
            stdout=cwd / "stdout.log",
            stderr=cwd / "stderr.log",
        )
        self._returns: deque[float] = deque(maxlen=REPORTED_EPISODES)
        self._new_returns: list[float] = []
        self._global_step = 0
        self._is_of_another = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._is_of_another = True
        return True

    def step(self) -> dict[str, Any]:
        if self._is_of_another:
            self._process.end()
            self._start()
        self._new_returns = []
        until = self._global_step + self.config["interval"]
        granted_at = time.monotonic()
        self._process.wire.send("grant", until_step=until)
        there = self._await("boundary", lambda message: message["held"] and message["step"] >= until)
        self._global_step = there["step"]
        self._process.poll()
        returns = {"episodic_return": mean_return(self._returns), "interval_return": mean_return(self._new_returns)}
        return {**returns, "granted_at": granted_at, "training_pid": self._process.pid}

    def _await(self, kind: str, is_meant: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        while self._process.wire.is_open:
            message = self._process.wire.receive(1.0)
            if message and message["type"] == kind and is_meant(message):
                return message
            self._hear(message or {})
        raise RuntimeError(f"the training process has ended; see {self.config['directory']}/{self.trial_id}")

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("type") == "step":
            scalars = {tag: decode_number(value) for tag, value in message["scalars"].items()}
            event = TrainingStep(message["boundary"], message["step"], scalars, message["wall_time"])
            if episode := self._runner.episodes(event):
                self._returns.append(episode.episodic_return)
                self._new_returns.append(episode.episodic_return)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        self._process.wire.send("snapshot", path=str(Path(checkpoint_dir, SNAPSHOT)))
        self._await("snapshot_saved")
        score = {"trial_id": self.trial_id, "returns": list(self._returns)}
        Path(checkpoint_dir, SCORE).write_text(json.dumps(score))

    def load_checkpoint(self, checkpoint: Any) -> None:
        changes = live_set(
            self._report, {name: self.config[name] for name in self.config["tuned"]}, flags=self._flags()
        )
        takeover = Takeover(str(Path(checkpoint, SNAPSHOT)), generation=0, donor="", changes=changes)
        if not carry_out(takeover, self._process, hear=self._hear, clock=time.monotonic):
            raise RuntimeError("the training process died over a checkpoint")
        score = json.loads(Path(checkpoint, SCORE).read_text())
        self._returns.clear()
        if score["trial_id"] == self.trial_id:
            self._returns.extend(score["returns"])
        self._is_of_another = False

    def cleanup(self) -> None:
        self._process.end()


class Grants(tune.Callback):
    """Gathers when each trial's training process was let go on."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, float]] = []

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        self.seen.append((trial.trial_id, result["training_pid"], result["granted_at"]))


def domain(notation: dict[str, list[float]]) -> Any:
    [(kind, bounds)] = notation.items()
    return getattr(tune, kind)(*bounds)


def run_race(race: Race, *, reuse_actors: bool, directory: Path) -> dict[str, Any]:
    first = race.first_values()
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        hyperparam_mutations={name: domain(notation) for name, notation in SPACE.items()},
        log_config=False,
        **RULES,
    )
    grants = Grants()
    tuner = tune.Tuner(
        tune.with_resources(Training, {"cpu": race.cpu}),
        param_space={
            "member": tune.grid_search(list(range(race.population))),
            "seed": tune.sample_from(lambda config: race.seed + config["member"]),
            **{name: tune.sample_from(lambda config, name=name: first[config["member"]][name]) for name in SPACE},
            **{"script": SCRIPT, "env_id": ENV_ID, "flags": FLAGS, "tuned": list(SPACE)},
            **{"interval": race.interval, "directory": str(directory / "training")},
        },
        tune_config=tune.TuneConfig(
            scheduler=scheduler, metric="episodic_return", mode="max", reuse_actors=reuse_actors
        ),
        run_config=tune.RunConfig(
            name="race",
            storage_path=str(directory / "tune"),
            stop={"training_iteration": race.steps // race.interval},
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[grants],
            verbose=0,
        ),
    )
    begin = time.perf_counter()
    results = tuner.fit()
    wall_s = time.perf_counter() - begin
    assert not results.errors, results.errors
    best = best_of(result.metrics["interval_return"] for result in results)
    outcome = Outcome(
        wall_s=wall_s,
        best_return=best,
        steps_trained=race.interval * len(grants.seen),
        processes=len(list(Path(directory, "training").glob("*/*"))),
    )
    return {"outcome": asdict(outcome), "grants": grants.seen}


def main(num_cpus: int) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Tune prints
    cloudpickle.register_pickle_by_value(of_race)  # workers do not know this directory
    with tempfile.TemporaryDirectory(prefix="stock-") as directory:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            _temp_dir=f"{directory}/ray",
        )
        print("{}", file=answers, flush=True)
        for number, line in enumerate(sys.stdin):
            asked = json.loads(line)
            race, place = Race(**asked["race"]), Path(directory, str(number))
            answer = run_race(race, reuse_actors=asked["reuse_actors"], directory=place)
            print(json.dumps(answer), file=answers, flush=True)
        ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
