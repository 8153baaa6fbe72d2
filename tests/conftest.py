"""What holds for all tests, so that they are quick on a machine with two busy cores."""

from __future__ import annotations

import os

from hypothesis import settings

# Small tensors gain nothing by a second thread of torch, which waits for a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# As many examples as find what one run of the suite can.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")
