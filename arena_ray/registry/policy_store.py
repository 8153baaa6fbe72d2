"""The part of the store that knows deployed policies."""

from __future__ import annotations

from collections.abc import Collection

from arena_ray.model.records import PolicyVersion
from arena_ray.model.states import PolicyState
from arena_ray.registry import policies
from arena_ray.registry.door import Door


class PolicyStore(Door):
    """Versions of policies, as one part of :class:`arena_ray.registry.store.Store`."""

    def add_policy_version(self, name: str, *, run_id: str, checkpoint_id: str, digest: str) -> PolicyVersion:
        """Return the next version of a policy, ``loading``.

        Args:
            name: The policy's name; a new one counts from 1.
            run_id: The run that the checkpoint is of.
            checkpoint_id: Which checkpoint it is.
            digest: Of the policy's files; empty where they could not be read, or are to be made first.
        """
        new = policies.NewVersion(name, run_id=run_id, checkpoint_id=checkpoint_id, digest=digest)
        with self._database.write() as connection:
            number = policies.add_version(connection, new, now=self._clock())
            return policies.load_version(connection, name, number)

    def complete_policy_version(self, name: str, version: int, *, digest: str) -> PolicyVersion:
        """Record the digest of the files of a version that was added before they were made.

        Raises:
            NotFound: There is no such version.
            IllegalTransition: It has a digest, or is not ``loading`` any more.
        """
        with self._database.write() as connection:
            policies.complete_version(connection, name, version, digest=digest)
            return policies.load_version(connection, name, version)

    def move_policy_version(
        self, name: str, version: int, state: PolicyState, *, reason: str | None = None
    ) -> PolicyVersion:
        """Move a version to *state*; where it serves now, the one that did so before is replaced.

        Raises:
            NotFound: There is no such version.
            IllegalTransition: The table of moves does not have this one.
        """
        with self._database.write() as connection:
            policies.move_version(connection, name, version, target=state, reason=reason, now=self._clock())
            return policies.load_version(connection, name, version)

    def list_policy_versions(
        self, *, name: str | None = None, states: Collection[PolicyState] | None = None
    ) -> list[PolicyVersion]:
        """Return versions, newest first: of one policy or all, in any of *states* or whichever."""
        with self._database.read() as connection:
            return policies.list_versions(connection, name=name, states=states)

    def list_deploy_wishes(self) -> list[policies.Wish]:
        """Return what has completed and asks for a policy that was never tried to be deployed, oldest first."""
        with self._database.read() as connection:
            return policies.list_wishes(connection)
