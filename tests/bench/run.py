"""Benchmarks, each side by side with what it is compared with, in one go. Run by ``make bench``.

``make bench ONLY=pbt`` measures one topic. The figures mean something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # what the tests share

import control_plane
import pbt
import serving
import snapshots
import start
import supervision

import plugins

TOPICS = {
    "start": start.measure,
    "supervision": supervision.measure,
    "control_plane": control_plane.measure,
    "pbt": pbt.measure,
    "serving": serving.measure,
    "snapshots": snapshots.measure,
    "plugins": plugins.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", choices=TOPICS, help="one topic; all where none is given")
    only = parser.parse_args().only
    for name in [only] if only else TOPICS:
        print(f"{name}: median (least to most), {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n", flush=True)
        TOPICS[name]()
        print()


if __name__ == "__main__":
    main()
