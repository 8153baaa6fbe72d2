"""Makes the graphs of policies that are not described: on demand, in a process that is thrown away, once each."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from arena_ray.model.errors import ArenaError, CheckpointCorrupt, PolicyUnusable
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint
from arena_ray.registry.store import Store
from arena_ray.runner.checkpoint_files import verify_checkpoint
from arena_ray.runner.graph_export import EXPORT_TIMEOUT_S, ExportedGraph, NoGraph, export_graph, without_graph
from arena_ray.runner.installation import interpreter_for
from arena_ray.runner.preflight import training_command
from arena_ray.runner.probe import probe_environment
from arena_ray.runner.protocol import Runner
from arena_ray.scheduling.port import Assignment
from arena_ray.scheduling.restart import flags_of
from arena_ray.serving.description import parse_description, read_description
from arena_ray.serving.policy_files import PolicyFiles, read_checkpoint, read_deployed

_SCHEMA_VERSION = 4


class Exporter(Protocol):
    """Records a policy as a graph."""

    def __call__(self, checkpoint: Checkpoint, /) -> ExportedGraph:
        """Return the policy of *checkpoint*.

        Raises:
            NoGraph: There is none.
            ArenaError: Its files are not those that were recorded, or something else stands in the way.
            OSError: A file cannot be read or written.
        """
        ...


class TrialExporter:
    """Starts the script of a checkpoint's run once more, restores it, and has it make the graph. It sees no GPU."""

    def __init__(
        self, workspace: Workspace, *, runners: Mapping[str, Runner], assignment: Callable[[str], Assignment]
    ) -> None:
        self._workspace = workspace
        self._runners = runners
        self._assignment = assignment

    def __call__(self, checkpoint: Checkpoint) -> ExportedGraph:
        """Return the policy of *checkpoint*."""
        root = Path(checkpoint.uri)
        verify_checkpoint(root, digest=checkpoint.digest)  # its pickles are read next
        assignment = self._assignment(checkpoint.run_id)
        run, bundle = assignment.run, assignment.bundle
        if run.runner not in self._runners:
            raise NoGraph(f"the runner {run.runner} is not installed any more")
        runner = self._runners[run.runner]
        script = bundle.materialise(self._workspace.bundles)
        command = training_command(
            runner,
            interpreter=str(interpreter_for(runner, run.script, workspace=self._workspace)),
            script=script,
            flags=flags_of(assignment, checkpoint.generation),
            env_id=run.env_id,
            seed=run.seed,
        )
        with tempfile.TemporaryDirectory(prefix="arena-graph-", ignore_cleanup_errors=True) as folder:
            return export_graph(
                command,
                env=bundle.add_modules(probe_environment(os.environ), script=script),
                folder=Path(folder),
                checkpoint=root,
                timeout_s=EXPORT_TIMEOUT_S,
            )


class Graphs:
    """The files of policies that act by a graph. One that was made before is copied, if it is still as it was then."""

    def __init__(self, workspace: Workspace, *, store: Store, exporter: Exporter) -> None:
        self._workspace = workspace
        self._store = store
        self._exporter = exporter

    def files(self, checkpoint: Checkpoint) -> PolicyFiles:
        """Return description, weights and graph of the policy in *checkpoint*.

        Raises:
            PolicyUnusable: No graph can be made of it.
            CheckpointCorrupt: Its files are not those that were recorded.
        """
        return self._made_before(checkpoint) or self._make(checkpoint)

    def _made_before(self, checkpoint: Checkpoint) -> PolicyFiles | None:
        for version in self._store.list_policy_versions():
            if version.checkpoint_id != checkpoint.checkpoint_id or not version.digest:
                continue
            try:
                root = self._workspace.policy(version.name, version.version).root
                return read_deployed(root, digest=version.digest)
            except PolicyUnusable:
                continue
        return None

    def _make(self, checkpoint: Checkpoint) -> PolicyFiles:
        files = read_checkpoint(checkpoint)
        said = json.loads(files.description)
        try:
            exported = self._exporter(checkpoint)
        except NoGraph as exc:
            reason = f"no policy was exported: {without_graph(said['missing'], exc)}"
            raise PolicyUnusable(checkpoint.uri, reason=reason) from exc
        except CheckpointCorrupt:
            raise
        except (ArenaError, OSError) as exc:
            raise PolicyUnusable(checkpoint.uri, reason=f"no graph could be made of it: {exc}") from exc
        said.update(environment=exported.environment, policy=exported.policy)
        said.update(schema_version=_SCHEMA_VERSION, missing=None)
        description = (json.dumps(said, indent=1, sort_keys=True) + "\n").encode()
        parse_description(description, place=checkpoint.uri)
        return PolicyFiles(description, files.weights, exported.content)


def needs_graph(files: PolicyFiles, *, place: str) -> bool:
    """Return whether a checkpoint with these files acts, if at all, only by a graph that is made of it.

    Raises:
        PolicyUnusable: It has no policy, and no graph could act either; or it brings a graph along, which would be read
            by a loader that can run what stands in it.
    """
    description = read_description(files.description, place=place)
    if description.policy is not None and description.policy.kind == "graph":
        raise PolicyUnusable(place, reason="it names a graph of its own; only graphs that were made here are ever read")
    if description.policy is None and description.environment is not None:
        return True
    parse_description(files.description, place=place)
    return False
