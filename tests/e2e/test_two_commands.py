"""Two commands that train in one workspace at once, where no cluster is up."""

from __future__ import annotations

from e2e.terminal import Terminal, end
from hurry import Hurry


def test_the_second_joins_the_cluster_of_the_first_which_stays_up_for_it(terminal: Terminal) -> None:
    hurry = Hurry(terminal.directory)
    short = terminal.write("short.yaml", experiment="short", flags={"total_timesteps": 50})
    long = terminal.write("long.yaml", experiment="long", flags=hurry.flags(passes=1_200))
    first, second = terminal.begin("run", short), terminal.begin("run", long)
    for name in ("short", "long"):
        terminal.wait_for_run(name, lambda run: run.state != "queued", f"{name} at work")
    terminal.wait_for_run("short", lambda run: run.state == "completed", "the short one's end")
    terminal.wait_for_run("long", lambda run: run.global_step > 20, "the long one further")
    hurry.now()
    ended = [end(process) for process in (first, second)]
    assert [each.code for each in ended] == [0, 0], ended
    assert [terminal.run_of(name).state for name in ("short", "long")] == ["completed", "completed"]
    assert [terminal.run_of(name).attempt for name in ("short", "long")] == [1, 1]
    terminal.wait_until_quiet()
