"""A script that was run in this process: described as at a snapshot, deployed, and compared with its own module."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from arena_ray.harness import capture, policy, policy_graph
from arena_ray.harness.live import LiveMap
from arena_ray.harness.variables import Variables
from arena_ray.serving.policy import Policy
from arena_ray.serving.policy_files import PolicyFiles


class Played:
    """A script that was run up to its end: its variables, and its state as a snapshot takes it."""

    def __init__(self, path: Path, source: str) -> None:
        path.write_text(source)
        self.names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, str(path), "exec"), self.names)
        frame: Any = SimpleNamespace(f_globals=self.names, f_locals=self.names)
        variables = Variables(frame, None)
        self.state = capture.take(variables, LiveMap(variables, script_dir=path.parent, fixed=[]))

    def describe(self) -> dict[str, Any]:
        """Return what is told of its policy."""
        return policy.describe(self.state)

    def files(self) -> tuple[dict[str, Any], bytes]:
        """Return what a checkpoint holds of its policy: all of the description, and the weights."""
        note = {"schema_version": policy.SCHEMA_VERSION, "script": "script.py", "modules": {}, "global_step": 1}
        weights = io.BytesIO()
        capture.write_weights(weights, self.state)
        return {**note, "boundary": 1, **self.describe()}, weights.getvalue()

    def deployed(self, root: Path) -> Policy:
        """Return the policy as it is deployed: from its two files alone."""
        described, weights = self.files()
        files = PolicyFiles(json.dumps(described, allow_nan=False).encode(), weights)
        files.write(root / "deployed")
        return Policy.load(root / "deployed", digest=files.digest())

    def with_graph(self, root: Path) -> Policy:
        """Return the policy as it is deployed where it is not described: with the graph that is made of it.

        Raises:
            Unrecognised: None can be made.
        """
        described, weights = self.files()
        described |= policy_graph.export(self.state, root / "graph.pt2", self.names)
        described["missing"] = None
        graph = (root / "graph.pt2").read_bytes()
        files = PolicyFiles(json.dumps(described, allow_nan=False).encode(), weights, graph)
        files.write(root / "deployed")
        return Policy.load(root / "deployed", digest=files.digest())

    def seen(self, observations: Any) -> Any:
        """Return *observations* as the script's wrappers give them to its module, with the statistics as they are."""
        import torch

        with _frozen(self.names["envs"].envs[0]) as wrappers:
            rows = []
            for observation in observations:
                for wrapper in wrappers:
                    observation = wrapper.observation(observation)
                rows.append(np.asarray(observation, dtype=np.float32))
        return torch.from_numpy(np.stack(rows))


@contextmanager
def _frozen(env: Any) -> Iterator[list[Any]]:
    """Give the wrappers that change observations, the innermost first, while none of them learns."""
    import gymnasium

    wrappers = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.ObservationWrapper):
            wrappers.insert(0, env)
        if isinstance(env, gymnasium.wrappers.NormalizeObservation):
            env.update_running_mean = False
        env = env.env
    yield wrappers
