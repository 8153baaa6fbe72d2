"""Scripts in CleanRL's form: one file, a dataclass given to tyro, one main loop."""

from arena_runners.cleanrl.runner import CleanRLRunner

__all__ = ["CleanRLRunner"]
