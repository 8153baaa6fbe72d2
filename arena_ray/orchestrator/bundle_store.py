"""Scripts as they were when their revision was made, by digest."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from arena_ray.model.errors import RegistryError
from arena_ray.runner.bundle import Bundle


class BundleStore:
    """Keeps each bundle once, as one JSON file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest}.json"

    def keep(self, bundle: Bundle) -> None:
        """Keep *bundle*; nothing happens where it is kept already.

        Raises:
            OSError: It cannot be written.
        """
        path = self._path(bundle.digest())
        if path.exists():
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        with partial.open("x", encoding="utf-8") as file:
            file.write(bundle.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def load(self, digest: str) -> Bundle:
        """Return the bundle of this digest.

        Raises:
            RegistryError: It is gone, or is not what was kept.
        """
        path = self._path(digest)
        try:
            bundle = Bundle.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as exc:
            raise RegistryError(f"the script kept at {path} cannot be read: {exc}") from exc
        if bundle.digest() != digest:
            raise RegistryError(f"the script kept at {path} was altered; put the file back from a backup")
        return bundle
