"""Brings a database to the schema that this version knows, or says why that cannot be."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from arena_ray.model.errors import RegistryEmpty, RegistryError
from arena_ray.registry.database import Database

SCHEMAS = ("0001", "0002", "0003", "0004", "0005")
"""Every schema there ever was, oldest first: the revisions in ``migrations/versions``."""

MIGRATIONS = Path(__file__).parent / "migrations"

_VERSION_TABLE = "alembic_version"

# Alembic keeps the migration under way in globals of its own, so threads take turns.
_migrating = threading.Lock()


def ensure_schema(database: Database) -> None:
    """Make the tables in an empty *database*, upgrade older ones, and leave current ones as they are.

    Raises:
        RegistryError: The schema is newer than this version, or the database belongs to something else, or it
            would have to be changed and was opened for reading only.
    """
    with database.read() as connection:
        found = _schema_of(connection, database.place)
    if found == SCHEMAS[-1]:
        return
    if database.read_only:
        if found is None:
            raise RegistryEmpty(f"{database.place} holds no registry yet; `arena run FILE` makes one")
        raise RegistryError(f"{database.place} has the older schema {found}; `arena run FILE` brings it up to date")
    with _migrating, database.write() as connection:
        # Another process may have been faster; inside the transaction nobody else can be.
        if _schema_of(connection, database.place) != SCHEMAS[-1]:
            _upgrade(connection)


def _schema_of(connection: sa.Connection, place: str) -> str | None:
    tables = set(sa.inspect(connection).get_table_names())
    versions: list[str] = []
    if _VERSION_TABLE in tables:
        query = sa.select(sa.column("version_num", sa.String)).select_from(sa.table(_VERSION_TABLE))
        versions = list(connection.execute(query).scalars())
    if not versions:
        if foreign := sorted(tables - {_VERSION_TABLE}):
            raise RegistryError(
                f"{place} is a database of something else (tables {', '.join(foreign[:5])}); "
                "give the registry one of its own"
            )
        return None
    if versions[0] not in SCHEMAS:
        raise RegistryError(
            f"registry {place} has schema {versions[0]}, made by a newer arena_ray than this one, "
            f"which knows {SCHEMAS[-1]}; upgrade arena_ray"
        )
    return versions[0]


def _upgrade(connection: sa.Connection) -> None:
    # Imported here because most processes find the schema current, and Alembic takes longer than their query.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
