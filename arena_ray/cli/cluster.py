"""Commands about the cluster of a workspace: start it, take it down, see how it stands."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from arena_ray.cli.access import open_reader, settings_in_force, workspace
from arena_ray.cli.output import output_options, plain, print_facts, print_json, print_table
from arena_ray.cli.progress import Progress

if TYPE_CHECKING:
    from arena_ray.orchestrator.api import Cluster, GatewayAddress, Node
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.orchestrator.reader import RegistryReader


@click.command()
@click.option("--ray-address", metavar="ADDRESS", help="Use this Ray cluster instead of starting one on this machine.")
@click.option("--num-cpus", "ray_num_cpus", type=int, metavar="N", help="CPUs that the started cluster offers.")
@click.option("--num-gpus", "ray_num_gpus", type=int, metavar="N", help="GPUs that the started cluster offers.")
@click.option("--port", "gateway_port", type=int, metavar="PORT", help="Port of the gateway.")
@output_options
def up(as_json: bool, **flags: Any) -> None:
    """Start a cluster that stays up.

    Where one is up already, say where it listens.
    """
    from arena_ray.orchestrator import local

    settings = settings_in_force(**flags)
    address = local.find(workspace())
    is_new = address is None
    with Progress() as progress:
        if address is None and settings.ray_address:
            address = local.connect(settings, workspace(), progress.say)
        elif address is None:
            address, started = local.find_or_start(workspace(), settings, keep=True, on_progress=progress.say)
            is_new = started is not None
    if as_json:
        print_json({**describe(address), "started": is_new})
        return
    click.echo(f"the cluster is up{'' if is_new else ' already'}: gateway {address.url}, Ray {address.ray_address}")
    click.echo("take it down with 'arena down'")


@click.command()
@output_options
def down(as_json: bool) -> None:
    """Take the cluster down.

    Runs that have not ended go on with the next one, from their last checkpoint.
    """
    from arena_ray.orchestrator import local

    with Progress() as progress:
        was_up = local.stop(workspace(), progress.say)
    if as_json:
        print_json({"stopped": was_up})
    else:
        click.echo("the cluster is down" if was_up else f"no cluster is up in {workspace().home}")


@click.command()
@output_options
def status(as_json: bool) -> None:
    """Show the cluster and how many runs are in each state."""
    with open_reader() as reader:
        address, cluster = _gateway_of(reader)
        states = Counter(run.state.value for run in reader.runs())
    if as_json:
        nodes = plain(cluster.nodes) if cluster else []
        print_json({"gateway": describe(address) if address else None, "nodes": nodes, "runs": dict(states)})
        return
    if address is None or cluster is None:
        click.echo("no cluster is up; 'arena up' starts one")
    else:
        print_facts([("gateway", address.url), ("Ray", cluster.ray_address), ("in use", _usage(cluster))])
        print_table([_node_row(node) for node in cluster.nodes], empty="no node")
    runs = ", ".join(f"{number} {state}" for state, number in states.items()) or "none yet"
    click.echo(f"runs: {runs}")


def describe(address: GatewayAddress) -> dict[str, Any]:
    """Return *address* for people and programs to read: without its token, which stays in its file."""
    described: dict[str, Any] = plain(address)
    del described["token"]
    return described


def _gateway_of(reader: ArenaClient | RegistryReader) -> tuple[GatewayAddress | None, Cluster | None]:
    from arena_ray.orchestrator.reader import RegistryReader

    if isinstance(reader, RegistryReader):
        return None, None
    return reader.address, reader.cluster()


def _usage(cluster: Cluster) -> str:
    alive = [node for node in cluster.nodes if node.is_alive]
    cpus, gpus = sum(node.cpu for node in alive), sum(node.gpu for node in alive)
    free_cpus, free_gpus = sum(node.cpu_free for node in alive), sum(node.gpu_free for node in alive)
    return f"{cpus - free_cpus:g} of {cpus:g} CPUs, {gpus - free_gpus:g} of {gpus:g} GPUs"


def _node_row(node: Node) -> dict[str, str]:
    return {
        "node": node.node_id[:12],
        "address": node.address,
        "role": "head" if node.is_head else "worker",
        "alive": "yes" if node.is_alive else "no",
        "cpu": f"{node.cpu - node.cpu_free:g}/{node.cpu:g}",
        "gpu": f"{node.gpu - node.gpu_free:g}/{node.gpu:g}",
        "memory": f"{node.memory_gib:.1f} GiB",
    }
