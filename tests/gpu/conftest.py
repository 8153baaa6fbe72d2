from harness_kit import train

__all__ = ["train"]
