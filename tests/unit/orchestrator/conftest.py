from core_kit import core, drivers, open_core, submission_of, workspace

__all__ = ["core", "drivers", "open_core", "submission_of", "workspace"]
