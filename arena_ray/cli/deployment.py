"""How ``arena run`` ends where its file says ``deploy``: the policy's endpoint, an action, and what it is worth."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from arena_ray.cli import policies
from arena_ray.cli.output import ABSENT, merged, print_facts
from arena_ray.model.errors import ArenaError, NotFound
from arena_ray.model.states import PolicyState

if TYPE_CHECKING:
    from arena_ray.model.records import PolicyVersion
    from arena_ray.model.spec import Deployment
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.serving.client import Answer
    from arena_ray.serving.evaluation import Evaluation

_PATIENCE_S = 60.0
_POLL_S = 0.2


@dataclass(frozen=True)
class Deployed:
    """What became of a deployment that a file asked for. *shown* is what the policy did in its first moment."""

    version: PolicyVersion
    url: str | None = None
    shown: tuple[Any, Answer] | None = None
    evaluation: Evaluation | None = None

    @property
    def is_well(self) -> bool:
        """Whether the policy answers."""
        return self.evaluation is not None

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        evaluation = policies.document(self.version.name, self.evaluation) if self.evaluation else None
        return merged(self.version, url=self.url, evaluation=evaluation)

    def print(self, *, stays_up: bool) -> None:
        """Print it for people."""
        name = self.version.name
        if self.evaluation is None or self.shown is None:
            click.echo(
                f"policy {name} version {self.version.version} was not deployed: {self.version.reason}", err=True
            )
            return
        observation, answer = self.shown
        click.echo()
        print_facts(
            [
                ("policy", f"{name} version {self.version.version}"),
                ("endpoint", self.url or ABSENT),
                ("first action", f"{json.dumps(answer.action)} for {json.dumps(observation)}"),
                *policies.facts(self.evaluation)[1:],
            ]
        )
        if stays_up:
            click.echo(f"ask it: arena act {name} '{json.dumps(observation)}'; take it back: arena undeploy {name}")


def await_deployment(client: ArenaClient, deploy: Deployment, run_ids: Collection[str]) -> Deployed:
    """Wait until the policy that the file asked for answers, then ask it and play with it.

    Args:
        client: The gateway, whose orchestrator deploys.
        deploy: What the file says.
        run_ids: The runs one of which is deployed.

    Raises:
        ArenaError: Nothing is deployed in time.
    """
    from arena_ray.serving.evaluation import first_observation

    click.echo(f"deploying {deploy.name}", err=True)
    version = policies.settled(client, _begun(client, deploy, run_ids))
    if version.state is PolicyState.FAILED:
        return Deployed(version)
    with policies.policy_client(client, deploy.name) as asking:
        env_id = policies.trained_on(asking)
        observation = first_observation(env_id, seed=0)
        answer = asking.act(observation)
        evaluation = policies.play(asking, env_id, episodes=policies.EPISODES, seed=0)
    return Deployed(version, url=asking.url, shown=(observation, answer), evaluation=evaluation)


def _begun(client: ArenaClient, deploy: Deployment, run_ids: Collection[str]) -> PolicyVersion:
    """Return the newest version of the policy that is of one of the runs, as soon as there is one."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            of_runs = [one for one in client.policy(deploy.name).versions if one.run_id in run_ids]
        except NotFound:
            of_runs = []
        if of_runs:
            return of_runs[0]
        if time.monotonic() > deadline:
            raise ArenaError(f"{deploy.name} was not deployed within {_PATIENCE_S:g} s; see 'arena policies'")
        time.sleep(_POLL_S)
