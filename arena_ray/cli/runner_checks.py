"""What ``arena doctor --runner`` looks at: a runner, and the environment of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from arena_ray.cli.doctor import Finding
from arena_ray.model.errors import NotFound

if TYPE_CHECKING:
    from arena_ray.model.paths import Workspace
    from arena_ray.runner.protocol import Recipe


def check_runner(name: str, place: Workspace) -> Iterator[Finding]:
    """Whether the runner of this name can be used, and the original scripts with it.

    Raises:
        NotFound: No such runner is installed.
    """
    from arena_ray.cli.runners import listed_runners
    from arena_ray.runner.discovery import load_runners
    from arena_ray.runner.protocol import Installable

    listed = {each.name: each for each in listed_runners()}
    if name not in listed:
        raise NotFound("runner", name, known=listed)
    if listed[name].problem:
        yield Finding("runner", "fail", str(listed[name].problem).strip().splitlines()[-1], "install it again")
        return
    runner = load_runners().runners[name]
    yield Finding("runner", "ok", f"{name}, {len(runner.scripts())} shipped scripts")
    if isinstance(runner, Installable):
        yield from _check_installation(name, place, runner.recipe)


def _check_installation(name: str, place: Workspace, recipe: Recipe) -> Iterator[Finding]:
    from arena_ray.runner.installation import get_installation
    from arena_ray.runner.interpreters import missing_packages, version_of

    command = f"arena runners setup {name}"
    found = get_installation(place, name)
    if found is None:
        yield Finding("environment", "warn", "for the original scripts none was made yet", command)
        return
    version = version_of(Path(found.interpreter))
    if version is None:
        yield Finding("environment", "fail", f"{found.interpreter} does not answer", command)
    else:
        yield Finding("environment", "ok", f"{found.interpreter}, Python {version}")
    if any(Path(found.scripts).glob("*.py")):
        yield Finding("repository", "ok", found.repository)
    else:
        yield Finding("repository", "fail", f"no scripts in {found.scripts}", f"{command} --from PATH")
    for packages in recipe.packages:
        missing = missing_packages(Path(found.interpreter), packages)
        if missing:
            yield Finding("packages", "fail", f"missing: {' '.join(missing)}", command)
        else:
            yield Finding("packages", "ok", " ".join(packages))
    if found.is_complete:
        yield Finding("trial", "ok", f"{' '.join(recipe.trial)} ran to its end")
    else:
        yield Finding("trial", "fail", "the setup was interrupted before a script had run", command)
