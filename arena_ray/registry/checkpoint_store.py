"""The part of the store that knows checkpoints."""

from __future__ import annotations

from arena_ray.model.records import Checkpoint
from arena_ray.registry import checkpoints, queries
from arena_ray.registry.door import Door


class CheckpointStore(Door):
    """Checkpoints, as one part of :class:`arena_ray.registry.store.Store`."""

    def add_checkpoint(
        self,
        run_id: str,
        *,
        attempt: int,
        boundary: int,
        global_step: int,
        uri: str,
        digest: str,
        policy_digest: str,
        metrics_digest: str,
        size_bytes: int,
        episodic_return: float,
        is_final: bool,
        generation: int = 0,
    ) -> Checkpoint:
        """Count the checkpoint in, whose files are complete. Told twice of the same one, return the first.

        Raises:
            NotFound: There is no such run.
            StaleAttempt: The run is at another attempt.
        """
        new = checkpoints.NewCheckpoint(
            attempt=attempt,
            boundary=boundary,
            global_step=global_step,
            uri=uri,
            digest=digest,
            policy_digest=policy_digest,
            metrics_digest=metrics_digest,
            size_bytes=size_bytes,
            episodic_return=episodic_return,
            is_final=is_final,
            generation=generation,
        )
        with self._database.write() as connection:
            added = checkpoints.add_checkpoint(connection, run_id, new, checkpoint_id=self._new_id(), now=self._clock())
            return queries.load_checkpoint(connection, added)

    def list_checkpoints(self, run_id: str) -> list[Checkpoint]:
        """Return a run's checkpoints that have not been removed, the one furthest in training first."""
        with self._database.read() as connection:
            return queries.list_checkpoints(connection, run_id)

    def list_latest_checkpoints(self) -> dict[str, Checkpoint]:
        """Return the furthest checkpoint of each run that has one, by run id."""
        with self._database.read() as connection:
            return queries.list_latest_checkpoints(connection)

    def get_checkpoint(self, checkpoint_id: str) -> Checkpoint | None:
        """Return the checkpoint of this id, unless it has been removed."""
        with self._database.read() as connection:
            return queries.find_checkpoint(connection, checkpoint_id)

    def find_checkpoint_at(self, uri: str) -> Checkpoint | None:
        """Return the checkpoint whose files lie at *uri*, unless it has been removed."""
        with self._database.read() as connection:
            return queries.find_checkpoint_at(connection, uri)

    def remove_checkpoint(self, checkpoint_id: str, *, reason: str) -> None:
        """Take the checkpoint out of all lists. Its row stays, with the reason; its files are the caller's.

        Raises:
            NotFound: There never was such a checkpoint.
        """
        with self._database.write() as connection:
            checkpoints.remove_checkpoint(connection, checkpoint_id, reason=reason, now=self._clock())

    def held_checkpoints(self, run_id: str) -> set[str]:
        """Return the ids of the run's checkpoints that must not be removed: others take them over, or may yet."""
        with self._database.read() as connection:
            return checkpoints.held_checkpoints(connection, run_id)
