"""Plugins seen from outside, in real processes: few of them, each tried in many ways."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

from arena_ray.host.__main__ import find_plugin
from arena_ray.model.errors import SpecError
from arena_ray.plugin.catalog import Catalog
from arena_ray.plugin.schema import check_settings

CHECKED = """
import os
from .core import register_plugin

def check(settings):
    if settings["space"] is None:
        raise TypeError("no space")
    return [f"too many for {settings['space'].names}"] if settings["count"] > 3 else []

@register_plugin(
    name="checked", scope="experiment", description="d", check=check,
    settings_schema={
        "count": {"type": "int", "default": 1, "min": 0},
        "space": {"type": "search_space", "required": True},
    },
)
def work(context, api): ...

print("a plugin may print")
os.system("echo and its children too")
"""


SLEEP_S = "3599.125"


def _is_sleeping(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and SLEEP_S in process.cmdline()
    return False


def test_files_that_leave_or_break_are_listed_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "a_plugin.py").write_text("import os; os._exit(4)\n")
    (tmp_path / "c_plugin.py").write_text(CHECKED)
    (tmp_path / "d_plugin.py").write_text(
        "import os, threading, time\nthreading.Timer(.1, os._exit, [5]).start()\ntime.sleep(.5)\n"
    )
    (tmp_path / "e_plugin.py").write_text("import pydantic\npydantic.BaseModel.model_dump = None\n")
    (tmp_path / "f_plugin.py").write_text(f"import subprocess\nsubprocess.Popen(['sleep', '{SLEEP_S}'])\n")
    catalog = Catalog([tmp_path], timeout_s=90.0)
    found = {each.name: each for each in catalog.describe()}
    assert found["a_plugin"].problem == "its process ended with exit code 4 while it was loaded"
    assert found["d_plugin"].problem == "its process ended with exit code 5 while it was loaded"
    assert "AttributeError" in (found["e_plugin"].problem or "") or "ended with" in (found["e_plugin"].problem or "")
    assert (found["checked"].problem, found["pbt"].problem) == (None, None)
    assert found["checked"].origin == str(tmp_path / "c_plugin.py")
    wait_until(lambda: not any(map(_is_sleeping, psutil.process_iter())))
    with pytest.raises(SpecError, match="plugin 'a_plugin' cannot be used: its process ended with exit code 4"):
        catalog.require("a_plugin")
    (tmp_path / "a_plugin.py").write_text(CHECKED.replace('"checked"', '"mended"'))
    assert catalog.require("mended").description.origin == str(tmp_path / "a_plugin.py")


def test_a_file_that_hangs_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "b_plugin.py").write_text("while True: pass\n")
    found = {each.name: each for each in Catalog([tmp_path], timeout_s=0.5).describe()}
    assert found["b_plugin"].problem == "its process fell silent for 0.5 s while it was loaded"


def test_the_process_of_a_function_loads_no_file_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "leaves_plugin.py").write_text("import os; os._exit(4)\n")
    (tmp_path / "c_plugin.py").write_text(CHECKED)
    settings = {"space": {"learning_rate": {"uniform": [0.0, 1.0]}}}
    begin = {
        "context": {"plugin_name": "checked", "scope": "experiment"},
        "directories": [str(tmp_path)],
        "settings": settings,
    }
    function, found = find_plugin(begin, timeout_s=90.0)
    assert (function.__name__, found["count"]) == ("work", 1)
    begin["context"] = {"plugin_name": "pbt", "scope": "experiment"}
    begin["settings"] = {"perturbation_interval": 5, "param_space": settings["space"]}
    assert find_plugin(begin, timeout_s=90.0)[1]["population"] == 4


def test_a_plugin_s_own_check_is_asked_in_its_process(tmp_path: Path) -> None:
    (tmp_path / "c_plugin.py").write_text(CHECKED)
    schema = Catalog([tmp_path]).require("checked").schema
    space = {"learning_rate": {"uniform": [0.0, 1.0]}}
    settings = check_settings(schema, {"space": space}, place="plugin.settings")
    assert (settings["count"], settings["space"].names) == (1, ("learning_rate",))
    with pytest.raises(SpecError, match=r"^plugin.settings: too many for \('learning_rate',\)$"):
        check_settings(schema, {"space": space, "count": 4}, place="plugin.settings")
    with pytest.raises(SpecError, match=r"^plugin.settings.space: is needed, and has no default$"):
        check_settings(schema, {}, place="plugin.settings")


def test_a_plugin_that_is_not_there_is_an_error_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="no plugin 'ptb'; did you mean 'pbt'"):
        Catalog().require("ptb")


def test_a_name_that_two_files_claim_is_given_to_neither(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c_plugin.py").write_text(CHECKED)
    catalog = Catalog([tmp_path / "a", tmp_path / "b"])
    [contested] = [each for each in catalog.describe() if each.name == "checked"]
    for folder in ("a", "b"):
        assert f"{tmp_path / folder / 'c_plugin.py'} (work)" in (contested.problem or "")
    with pytest.raises(SpecError, match="claim the same name 'checked'"):
        catalog.require("checked")
