"""Versions of policies as they are made: recorded, and their files written where retention leaves them alone."""

from __future__ import annotations

from arena_ray.model.errors import CheckpointCorrupt, PolicyUnusable
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint, PolicyVersion
from arena_ray.model.states import PolicyState
from arena_ray.orchestrator.graphs import Exporter, Graphs, needs_graph
from arena_ray.registry.store import Store
from arena_ray.serving.policy_files import PolicyFiles, read_checkpoint

OPEN_STATES = (PolicyState.LOADING, PolicyState.SERVING)
"""Of a version that answers, or is to."""


class Versions:
    """Makes versions of checkpoints. The caller sees to it that two are not made of one name at once."""

    def __init__(self, workspace: Workspace, *, store: Store, exporter: Exporter) -> None:
        self._workspace = workspace
        self._store = store
        self._graphs = Graphs(workspace, store=store, exporter=exporter)

    def record(self, checkpoint: Checkpoint, name: str) -> PolicyVersion:
        """Return the version that *checkpoint* is, or is now, of the policy *name*: ``loading`` if it is a new one.

        Raises:
            CheckpointCorrupt: Its files are not those that were recorded.
            PolicyUnusable: It holds no policy. Both are recorded, as a version that has failed.
        """
        try:
            files = read_checkpoint(checkpoint)
            waits_for_graph = needs_graph(files, place=checkpoint.uri)
        except (CheckpointCorrupt, PolicyUnusable) as exc:
            failed = self._add(checkpoint, name, digest="")
            self._store.move_policy_version(name, failed.version, PolicyState.FAILED, reason=str(exc))
            raise
        newest = next(iter(self._store.list_policy_versions(name=name, states=OPEN_STATES)), None)
        if newest is not None and newest.checkpoint_id == checkpoint.checkpoint_id:
            return newest  # the same request once more
        if waits_for_graph:
            return self._add(checkpoint, name, digest="")  # made by the thread that looks after it: it takes long
        return self._add_with_files(checkpoint, name, files)

    def complete(self, version: PolicyVersion) -> PolicyVersion:
        """Make the graph by which *version* acts, and return it with its digest.

        Raises:
            PolicyUnusable: None can be made.
            CheckpointCorrupt: Its checkpoint is not what was recorded.
            IllegalTransition: It was withdrawn meanwhile.
        """
        checkpoint = self._store.get_checkpoint(version.checkpoint_id)
        if checkpoint is None:
            raise PolicyUnusable(version.checkpoint_id, reason="the checkpoint was removed before its graph was made")
        files = self._graphs.files(checkpoint)
        try:
            files.write(self._workspace.policy(version.name, version.version).root)
        except OSError as exc:
            raise PolicyUnusable(checkpoint.uri, reason=f"its files could not be written: {exc}") from exc
        return self._store.complete_policy_version(version.name, version.version, digest=files.digest())

    def _add(self, checkpoint: Checkpoint, name: str, *, digest: str) -> PolicyVersion:
        return self._store.add_policy_version(
            name, run_id=checkpoint.run_id, checkpoint_id=checkpoint.checkpoint_id, digest=digest
        )

    def _add_with_files(self, checkpoint: Checkpoint, name: str, files: PolicyFiles) -> PolicyVersion:
        version = self._add(checkpoint, name, digest=files.digest())
        try:
            files.write(self._workspace.policy(name, version.version).root)
        except OSError as exc:
            reason = f"its files could not be copied: {exc}"
            self._store.move_policy_version(name, version.version, PolicyState.FAILED, reason=reason)
            raise PolicyUnusable(checkpoint.uri, reason=reason) from exc
        return version
