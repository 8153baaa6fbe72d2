"""What probes have found, kept as a file each: how a script resumes in an environment, with an interpreter."""

from __future__ import annotations

import hashlib
import os
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from arena_ray.model.spec import FlagValue, Strict
from arena_ray.model.states import Resume

_MOST_NAMES = 5


class LeftOut(Strict):
    """A part of the state that a checkpoint does not hold, or holds in vain."""

    name: str
    why: str


class Subject(Strict):
    """What a verdict is about. Whatever of it changes, the verdict no longer holds."""

    bundle: str
    """Digest of the script with the modules beside it."""
    env_id: str
    interpreter: str
    versions: dict[str, str]
    """Of Python and of the packages on which state depends, as far as they are installed there."""

    def file_name(self) -> str:
        """Return the name of its verdict's file: the versions are inside, so that a newer probe replaces an older."""
        parts = "\n".join((self.bundle, self.env_id, self.interpreter))
        return hashlib.sha256(parts.encode()).hexdigest()[:32] + ".json"


class Verdict(Strict):
    """How a script resumes, and what a probe of it has seen besides."""

    subject: Subject
    resume: Resume
    reason: str | None = None
    """Why it is not ``exact``; None where it is."""
    left_out: tuple[LeftOut, ...] = ()
    differing: tuple[str, ...] = ()
    """Variables and metrics in which the resumed training differed from the one that went on."""
    boundaries: tuple[int, int] | None = None
    """Where the checkpoint was written, and where both were compared again."""
    steps: tuple[int, int] | None = None
    flags: dict[str, FlagValue] = Field(default_factory=dict)
    """What the script was given, but for environment and seed."""
    environments: tuple[str, ...] = ()
    """Variables that hold an environment."""
    tags: tuple[str, ...] = ()
    """What it logged."""
    policy: dict[str, Any] = Field(default_factory=dict)
    """``environment``, ``policy`` and ``missing`` of its ``policy.json``."""
    probed_at: datetime


class VerdictFiles:
    """The verdicts of a workspace. Any process may write them: each file is one that was written whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, verdict: Verdict) -> Path:
        """Write *verdict* down in the place of an earlier one of its subject, and return where.

        Raises:
            OSError: It cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / verdict.subject.file_name()
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(verdict.model_dump_json(indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def has(self, subject: Subject) -> bool:
        """Return whether there is a verdict for script, environment and interpreter, whatever the versions were."""
        return (self._folder / subject.file_name()).is_file()

    def get(self, subject: Subject) -> Verdict | None:
        """Return the verdict on *subject*; None where there is none, or it was of other versions."""
        try:
            text = (self._folder / subject.file_name()).read_text(encoding="utf-8")
            found = Verdict.model_validate_json(text)
        except (OSError, ValidationError):  # nobody has looked, or an older version wrote it otherwise
            return None
        return found if found.subject == subject else None


def judge(
    *, left_out: tuple[LeftOut, ...], differing: tuple[str, ...], incomparable: str | None
) -> tuple[Resume, str | None]:
    """Return how a script resumes whose restored process could go on, and why it is not ``exact``."""
    reasons = []
    if left_out:
        reasons.append("not captured: " + listed([f"{one.name} ({one.why})" for one in left_out], by="; "))
    if differing:
        reasons.append("differs after a resume: " + listed(differing))
    if incomparable is not None:
        reasons.append(f"two states could not be compared: {incomparable}")
    return (Resume.WARM, "; ".join(reasons)) if reasons else (Resume.EXACT, None)


def listed(names: tuple[str, ...] | list[str], *, by: str = ", ") -> str:
    """Return the first few *names* and how many more there are."""
    more = len(names) - _MOST_NAMES
    return by.join(names[:_MOST_NAMES]) + (f"{by}and {more} more" if more > 0 else "")
