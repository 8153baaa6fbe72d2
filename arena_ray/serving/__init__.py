"""Deployed policies: read without running anything of theirs, behind an HTTP endpoint of Ray Serve."""
