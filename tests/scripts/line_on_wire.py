"""What line.py does under the harness, without torch and the harness: starts in 50 ms, speaks the wire, can be killed.

Started as the harness is. The environment tells it where to fail: ``DIE_AFTER`` holds the type of a message after
which it kills itself, ``REFUSE`` the command that it refuses, ``NO_DISK`` that it can write no checkpoint, ``LINGER``
that after a takeover it goes on only when it is told something more; each once, if the file that ``ONCE`` names does
not exist.
"""

import argparse
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from arena_ray.harness.checkpoint import Writer
from arena_ray.harness.wire import Wire

EPISODE_EVERY = 5


def is_told_to(name, value):
    """Return whether it is to fail here, for the first time."""
    once = Path(os.environ.get("ONCE", "."))
    if os.environ.get(name) != value or once.exists():
        return False
    once.touch()
    return True


class Training:
    def __init__(self, flags, wire, attempt):
        self.flags, self.wire, self.attempt = flags, wire, attempt
        self.commands = []
        self.weights, self.rate = [0.0] * flags.width, flags.learning_rate
        self.step = self.generation = 0
        self.until, self.is_granted, self.is_told = None, False, False

    def say(self, kind, **keys):
        self.wire.send({"type": kind, "boundary": self.step, "step": self.step, "wall_time": time.time(), **keys})
        if is_told_to("DIE_AFTER", kind):
            os.kill(os.getpid(), signal.SIGKILL)

    def boundary(self, *, is_over=False):
        """Obey, and hold where nothing more is granted."""
        self.obey()
        while not self.is_granted or (self.until is not None and self.step >= self.until and not is_over):
            self.is_granted = False
            if not self.is_told:
                self.say("boundary", held=True, ended=is_over, generation=self.generation)
                self.is_told = True
            time.sleep(0.001)
            self.obey()

    def obey(self):
        while self.commands:
            command = self.commands.pop(0)
            kind = command.pop("type")
            if is_told_to("REFUSE", kind):
                self.say({"load": "load_failed", "set": "set_failed"}[kind], reason="told to refuse")
            else:
                getattr(self, kind)(**command)

    def grant(self, until_step):
        self.is_granted, self.until, self.is_told = True, until_step, False
        if self.generation and is_told_to("LINGER", "yes"):
            self.linger()

    def linger(self):
        while not self.commands:
            time.sleep(0.001)

    def stop(self):
        raise SystemExit

    def snapshot(self, path, **_):
        path = Path(path.replace("{step}", f"{self.step:012d}"))
        if is_told_to("NO_DISK", "yes"):
            self.say("snapshot_failed", path=str(path), reason="no space left", errno=28)
            return
        writer = Writer(path)
        weights = json.dumps(self.weights)
        writer.add("policy.safetensors", lambda file: file.write(weights.encode()))
        writer.add_json("state.json", {name: vars(self)[name] for name in ("weights", "rate", "step", "generation")})
        written = writer.finish()._asdict()
        ended = self.step >= self.flags.total_timesteps
        self.say("snapshot_saved", path=str(path), ended=ended, generation=self.generation, skipped=[], **written)

    def restore(self, path):
        vars(self).update(json.loads((Path(path) / "state.json").read_text()))
        self.is_told = False
        self.say("restored", path=path, skipped=[])

    def load(self, path, generation):
        weights = json.loads((Path(path) / "policy.safetensors").read_text())
        if len(weights) != len(self.weights):
            sizes = f"agent.weight is [{len(weights)}] there and [{len(self.weights)}] here"
            self.say("load_failed", path=path, generation=generation, reason=sizes)
            return
        self.weights, self.generation = weights, generation
        self.say("loaded", path=path, generation=generation)

    def set(self, attributes, groups):
        self.rate = attributes["args"]["learning_rate"]
        assert groups == {"optimizer": {"lr": self.rate}}
        self.say("set_done")

    def train(self):
        self.boundary()
        while self.step < self.flags.total_timesteps:
            self.weights = [weight + 2 * self.rate * (3.0 - weight) for weight in self.weights]
            scalars = {"losses/weight": self.weights[0], "charts/learning_rate": self.rate}
            if self.step % EPISODE_EVERY == 0:
                is_diverged = self.rate > self.flags.diverge_above
                scalars["charts/episodic_return"] = float("nan") if is_diverged else self.weights[0]
            self.say("step", scalars=scalars)
            self.step += 1
            time.sleep(self.flags.sleep_s)
            if self.step < self.flags.total_timesteps:
                self.boundary()
        self.is_granted = self.is_told = False
        self.boundary(is_over=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int)
    parser.add_argument("--attempt", type=int)
    parser.add_argument("--tensorboard")
    parser.add_argument("script")
    parser.add_argument("--total-timesteps", type=int, default=400)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--width", type=int, default=1)
    parser.add_argument("--sleep-s", type=float, default=0.0)
    parser.add_argument("--diverge-above", type=float, default=1.0)
    flags, _ = parser.parse_known_args([word for word in sys.argv[1:] if word != "--"])
    wire = Wire(flags.fd)
    training = Training(flags, wire, flags.attempt)
    wire.start(training.commands.append)
    outcome = "stopped"
    with suppress(SystemExit):
        training.train()
        outcome = "completed"
    wire.finish({"type": "bye", "outcome": outcome, "boundary": training.step, "step": training.step})


if __name__ == "__main__":
    main()
