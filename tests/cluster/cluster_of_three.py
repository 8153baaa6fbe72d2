"""Keeps a Ray cluster of three nodes on this machine until its standard input ends: a head and two with GPUs to count.

Prints one JSON line: the head's address and, for each worker node, its id and the pid of its raylet.
"""

import json
import os
import signal
import sys
from pathlib import Path

from ray.cluster_utils import Cluster

NODE = {"node_ip_address": "127.0.0.2", "object_store_memory": 100 << 20}

if __name__ == "__main__":
    # Ray's test cluster would else tell the whole machine, in /tmp/ray, that it is the one to use.
    os.environ["RAY_TMPDIR"] = sys.argv[1]
    Path(sys.argv[1], "ray").mkdir()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**NODE, "num_cpus": 1, "num_gpus": 0, "include_dashboard": False},
    )
    nodes = [cluster.add_node(wait=False, num_cpus=2, num_gpus=2, **NODE) for _ in range(2)]
    cluster.wait_for_nodes()
    raylets = {node.node_id: node.all_processes["raylet"][0].process for node in nodes}
    # A raylet that was killed stays a zombie until its parent asks, and its workers would take it for alive.
    signal.signal(signal.SIGCHLD, lambda *_: [raylet.poll() for raylet in raylets.values()])
    pids = {node_id: raylet.pid for node_id, raylet in raylets.items()}
    print(json.dumps({"address": cluster.address, "raylets": pids}), flush=True)
    sys.stdin.read()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    cluster.shutdown()
