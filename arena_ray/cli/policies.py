"""Commands for policies: put a checkpoint behind an HTTP endpoint, ask it, play episodes with it, take it back."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Literal

import click

from arena_ray.cli.access import open_reader, require_client
from arena_ray.cli.output import ABSENT, figure, merged, moment, output_options, print_facts, print_json, print_table
from arena_ray.model.errors import ArenaError, NotFound
from arena_ray.model.states import PolicyState

if TYPE_CHECKING:
    from arena_ray.model.records import PolicyVersion
    from arena_ray.orchestrator.api import Policy
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.serving.client import PolicyClient
    from arena_ray.serving.evaluation import Evaluation

DEPLOY_PATIENCE_S = 180.0
EPISODES = 20
_POLL_S = 0.1


@click.command()
@click.argument("source", metavar="RUN_OR_CHECKPOINT")
@click.option("--name", required=True, metavar="NAME", help="What the policy is called; a known name gets a version.")
@click.option(
    "--select",
    type=click.Choice(["best", "latest"]),
    default="best",
    show_default=True,
    help="Which checkpoint of a run: the one with the highest episodic return, or the newest.",
)
@output_options
def deploy(source: str, name: str, select: Literal["best", "latest"], as_json: bool) -> None:
    """Put a checkpoint behind an HTTP endpoint and wait until it answers.

    RUN_OR_CHECKPOINT is a run's id, name or unique prefix, or a checkpoint's id or directory. The policy is read from
    its description and weights, or from a graph that is made of it by starting its script once more. It is probed, and
    only then put in the place of the version before, which answers until that moment, and goes on where the new one
    fails.
    """
    with require_client() as client:
        version = settled(client, client.deploy(source, name, select=select))
        policy = client.policy(name)
    if version.state is PolicyState.FAILED:
        raise ArenaError(f"{name} version {version.version} has failed: {version.reason}")
    if as_json:
        print_json(merged(version, url=policy.url))
    else:
        print_facts([("policy", f"{name} version {version.version}"), ("endpoint", policy.url or ABSENT)])


@click.command()
@click.argument("name")
@output_options
def undeploy(name: str, as_json: bool) -> None:
    """Take a policy back: its endpoint answers no more. The files of its versions stay."""
    with require_client() as client:
        policy = client.undeploy(name)
    if as_json:
        print_json(policy)
    else:
        click.echo(f"{name} version {policy.versions[0].version} is withdrawn")


@click.command()
@output_options
def policies(as_json: bool) -> None:
    """List the policies that were deployed, with their versions and where they answer."""
    with open_reader() as reader:
        found = reader.policies()
    if as_json:
        print_json(found)
    else:
        rows = [_row(policy, version) for policy in found for version in policy.versions]
        print_table(rows, empty="no policies yet; deploy one with 'arena deploy RUN --name NAME'")


@click.command()
@click.argument("name")
@click.argument("observation")
@output_options
def act(name: str, observation: str, as_json: bool) -> None:
    """Ask a policy for its action, which is never random.

    OBSERVATION is JSON, such as '[0, 0, 0, 0]', or a list of observations; - reads it from standard input.
    """
    text = sys.stdin.read() if observation == "-" else observation
    try:
        asked = json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"no JSON: {exc}", param_hint="OBSERVATION") from exc
    with require_client() as client, policy_client(client, name) as asking:
        answer = asking.act(asked)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{json.dumps(answer.action)}  (version {answer.version})")


@click.command()
@click.argument("name")
@click.option("--episodes", type=click.IntRange(min=1), default=EPISODES, show_default=True, help="How many to play.")
@click.option("--env-id", metavar="ID", help="Another environment than the one that the policy was trained on.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first episode; they count on."
)
@output_options
def evaluate(name: str, episodes: int, env_id: str | None, seed: int, as_json: bool) -> None:
    """Play episodes with a policy through its endpoint and tell their returns.

    The environments are in this process, the policy behind its endpoint.
    """
    with require_client() as client, policy_client(client, name) as asking:
        evaluation = play(asking, env_id or trained_on(asking), episodes=episodes, seed=seed)
    if as_json:
        print_json(document(name, evaluation))
    else:
        print_facts([("policy", name), *facts(evaluation)])


def settled(client: ArenaClient, version: PolicyVersion) -> PolicyVersion:
    """Wait until *version* answers or will not, and return it as it is then.

    Raises:
        ArenaError: It is still being loaded after :data:`DEPLOY_PATIENCE_S`.
    """
    deadline = time.monotonic() + DEPLOY_PATIENCE_S
    while version.state is PolicyState.LOADING:
        if time.monotonic() > deadline:
            raise ArenaError(
                f"{version.name} version {version.version} is still being loaded; see 'arena policies' later"
            )
        time.sleep(_POLL_S)
        versions = client.policy(version.name).versions
        version = next(one for one in versions if one.version == version.version)
    return version


def policy_client(client: ArenaClient, name: str) -> PolicyClient:
    """Return a client of the policy's endpoint.

    Raises:
        NotFound: No version of it answers.
    """
    from arena_ray.serving.client import PolicyClient

    policy = client.policy(name)
    if policy.version is None:
        raise NotFound("deployed policy", name, known=[one.name for one in client.policies() if one.version])
    if policy.url is None:
        raise ArenaError(f"{name} version {policy.version} is being brought up again; try again in a moment")
    return PolicyClient(policy.url, token=client.address.token)


def trained_on(asking: PolicyClient) -> str:
    """Return the environment that the policy was trained on.

    Raises:
        ArenaError: Its script has made one without an id.
    """
    described = asking.describe()
    env_id = described.get("environment", {}).get("env_id")
    if not isinstance(env_id, str):
        raise ArenaError(f"{described.get('name')} does not know the id of its environment; give one with --env-id")
    return env_id


def play(asking: PolicyClient, env_id: str, *, episodes: int, seed: int) -> Evaluation:
    """Play *episodes* through the endpoint."""
    from arena_ray.serving.evaluation import evaluate as play_episodes

    return play_episodes(asking.act, env_id, episodes=episodes, seed=seed)


def facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return what there is to tell of *evaluation*."""
    versions = ", ".join(map(str, evaluation.versions))
    return [
        ("version", versions),
        ("environment", f"{evaluation.env_id}, {len(evaluation.returns)} episodes, seeds from {evaluation.seed}"),
        ("mean return", f"{figure(evaluation.mean)} (std {figure(evaluation.std)})"),
        ("least, most", f"{figure(evaluation.min)}, {figure(evaluation.max)}"),
    ]


def document(name: str, evaluation: Evaluation) -> dict[str, Any]:
    """Return *evaluation* for programs."""
    return {
        "name": name,
        "versions": list(evaluation.versions),
        "env_id": evaluation.env_id,
        "seed": evaluation.seed,
        "episodes": len(evaluation.returns),
        "returns": list(evaluation.returns),
        "mean": evaluation.mean,
        "std": evaluation.std,
        "min": evaluation.min,
        "max": evaluation.max,
    }


def _row(policy: Policy, version: PolicyVersion) -> dict[str, str]:
    return {
        "policy": policy.name,
        "version": str(version.version),
        "state": version.state.value,
        "endpoint": (policy.url if version.state is PolicyState.SERVING else None) or ABSENT,
        "checkpoint": version.checkpoint_id,
        "since": moment(version.created_at),
        "reason": (version.reason or ABSENT).splitlines()[0],
    }
