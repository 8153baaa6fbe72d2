"""Many short trainings under bare Ray Tune: a trial starts the script as its user would. Prints the seconds it took."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import ray
from ray import tune


def train(config: dict) -> None:
    command = [sys.executable, config["script"], "--seed", str(config["seed"])]
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            command, cwd=directory, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True
        )
    tune.report({"done_at": time.time()})


def main() -> None:
    script, count, cpus = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    os.environ.update({"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"})
    with tempfile.TemporaryDirectory(prefix="raw-tune-") as home:
        ray.init(address="local", include_dashboard=False, _temp_dir=f"{home}/ray", log_to_driver=False)
        tuner = tune.Tuner(
            tune.with_resources(train, {"cpu": cpus}),
            param_space={"script": script, "seed": tune.grid_search(list(range(count)))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(storage_path=f"{home}/results", verbose=0),
        )
        began = time.monotonic()
        results = tuner.fit()
        seconds = time.monotonic() - began
        assert not results.errors
        assert len(results) == count
        print(f"took {seconds}", flush=True)
        ray.shutdown()


if __name__ == "__main__":
    main()
