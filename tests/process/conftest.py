"""Real training processes under the harness, without Ray."""

from core_kit import core, drivers, open_core, submission_of, workspace
from harness_kit import train
from session_kit import open_session, recorder

__all__ = ["core", "drivers", "open_core", "open_session", "recorder", "submission_of", "train", "workspace"]
