"""A stats writer: a row for each key and summary period, in a table in the run's own directory."""

import csv
from pathlib import Path

from arena_ray.plugin.stats_writer import StatsWriter


class SummaryTable(StatsWriter):
    """Appends to the table at *path*."""

    def __init__(self, path):
        self.path = path

    def write_stats(self, category, values, step):
        """Append the period that ends at *step*."""
        with self.path.open("a", newline="") as file:
            for key, summary in sorted(values.items()):
                csv.writer(file).writerow([step, key, summary.num, summary.mean, summary.std])


def get_summary_table(run_options):
    """Return the writers of one attempt of a run."""
    return [SummaryTable(Path(run_options.checkpoint_settings.write_path) / "summaries.csv")]
