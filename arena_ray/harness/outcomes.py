"""What comes of a boundary for the script: it goes on with other variables, or leaves its main loop for good."""

from __future__ import annotations

from typing import Any, Dict, Optional


class StopTraining(BaseException):
    """The peer wants the script to end here: not an Exception, so that the script's handlers let it pass."""


class RestoreFailed(BaseException):
    """The state could not be put back; the script must not train on without it."""


class SeekFailed(RestoreFailed):
    """The script could not be moved to where it is to go on."""


class Restored(Dict[str, Any]):
    """Local variables for the loop to bind. *end* says how the loop was over: ``exhausted``, ``left``, or not."""

    end: Optional[str] = None
