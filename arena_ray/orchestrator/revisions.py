"""The one way to a revision: what its script takes is checked, and plugins look at it, before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from arena_ray.model.errors import SpecError
from arena_ray.model.records import ProposedRevision, Revision
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.orchestrator.plugin_records import PluginRecords
from arena_ray.registry.submission import Authorship
from arena_ray.runner.arguments import check_flags
from arena_ray.runner.bundle import Bundle
from arena_ray.runner.protocol import Capabilities, ScriptReport


class Bundles(Protocol):
    """Where the files of scripts are kept."""

    def load(self, digest: str) -> Bundle:
        """Return the bundle of this digest."""
        ...


class ScriptReader(Protocol):
    """What is asked of a runner here."""

    @property
    def capabilities(self) -> Capabilities:
        """What holds for every script of it."""
        ...

    def inspect(self, source: str, *, path: str) -> ScriptReport:
        """Return what can be said of a script."""
        ...


class RevisionGate(Protocol):
    """What every revision has to pass."""

    def require(self, spec: ExperimentSpec, revision: ProposedRevision) -> None:
        """Refuse the revision by raising :class:`RevisionRefused`."""
        ...


class Revisions:
    """Makes revisions of scripts that are kept already.

    Args:
        store: Where they are made.
        bundles: The files of scripts.
        runners: They know what a script takes.
        gate: Lets plugins look at each.
    """

    def __init__(
        self, *, store: PluginRecords, bundles: Bundles, runners: Mapping[str, ScriptReader], gate: RevisionGate
    ) -> None:
        self._store = store
        self._bundles = bundles
        self._runners = runners
        self._gate = gate

    def check(self, spec: ExperimentSpec, *, script: str, bundle: str) -> dict[str, FlagValue]:
        """Return all that the script is given by *spec*, hyperparameters included.

        Args:
            spec: What is to be a revision.
            script: The script's name or path, as the runner resolved it.
            bundle: Digest of the script's files.

        Raises:
            SpecError: The script does not take it, or the runner no nested configuration.
            RevisionRefused: A plugin refuses it.
        """
        runner, files = self._runners[spec.runner], self._bundles.load(bundle)
        if spec.config and not runner.capabilities.has_config:
            raise SpecError(
                f"runner {spec.runner!r} takes no nested configuration; "
                "change flags of its scripts with create_revision_with_hyperparameters"
            )
        report = runner.inspect(files.files[files.entry], path=script)
        given = check_flags(
            report.arguments,
            script=script,
            hyperparameters=spec.hyperparameters,
            flags=spec.flags,
            gpu=spec.resources.gpu,
        )
        self._gate.require(spec, ProposedRevision.of(spec, flags=given))
        return given

    def add(self, spec: ExperimentSpec, *, parent: Revision, author: Authorship) -> Revision:
        """Return the revision that *spec* makes of its *parent*, made now unless *author* has made it before.

        Raises:
            SpecError: The script does not take it, or the runner no nested configuration.
            RevisionRefused: A plugin refuses it.
        """
        given = self.check(spec, script=parent.script, bundle=parent.bundle)
        return self._store.add_revision(spec, flags=given, script=parent.script, bundle=parent.bundle, author=author)
