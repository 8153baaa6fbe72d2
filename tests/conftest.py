"""How much Hypothesis tries: enough to find what one run of the suite can, in the minute that the unit tests have."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")
