"""Where the content of certificates comes from: runs with their attempts and final checkpoints, and the journal."""

from __future__ import annotations

from collections import defaultdict

from arena_ray.model.certificate import Cell, CellRun, Certificate, certify
from arena_ray.model.records import Execution, Run
from arena_ray.model.states import RunState
from arena_ray.registry.store import Store


def load_certificate(store: Store, execution: Execution) -> Certificate:
    """Return the certificate of an execution as it stands."""
    revisions = {each.revision_id: each for each in store.list_revisions(execution.experiment_id)}
    grouped: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for run in sorted(store.list_runs(execution_id=execution.execution_id), key=lambda run: run.member or 0):
        revision = revisions[run.revision_id]
        content = [revision.env_id, revision.script, revision.bundle, sorted(revision.flags.items()), revision.config]
        grouped[repr(content), run.seed].append(run)
    cells = []
    for (_, seed), runs in grouped.items():
        revision = revisions[runs[0].revision_id]
        completed = [run.run_id for run in runs if run.state is RunState.COMPLETED]
        cells.append(
            Cell(
                env_id=revision.env_id,
                script=revision.script,
                hyperparameters=revision.hyperparameters,
                flags=revision.flags,
                seed=seed,
                accepted=next(iter(completed), None),
                runs=[_cell_run(store, run) for run in runs],
            )
        )
    return certify(execution, cells, expected=_expected(store, execution))


def _cell_run(store: Store, run: Run) -> CellRun:
    final = next((each for each in store.list_checkpoints(run.run_id) if each.is_final), None)
    return CellRun(
        run_id=run.run_id,
        name=run.name,
        state=run.state,
        global_step=run.global_step,
        episodic_return=run.episodic_return,
        checkpoint_digest=final.digest if final else None,
        metrics_digest=final.metrics_digest if final else None,
        attempts=store.list_attempts(run.run_id),
    )


def _expected(store: Store, execution: Execution) -> int | None:
    """Return how many runs the plugin's function was given; None where its calls were not written down."""
    journal = store.list_plugin_calls(execution.execution_id)
    if not journal:
        return None
    started = sum(each.repeats + 1 for each in journal if each.method == "start_run" and each.error is None)
    studies = [each.answer for each in journal if each.method == "tune" and each.ended_at and each.error is None]
    return started + sum(int(answer["num_runs"]) for answer in studies)
