"""A script and the modules beside it, as one value."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from arena_ray.model.errors import ArenaError, SpecError
from arena_ray.runner import bundle as bundle_module
from arena_ray.runner.bundle import Bundle, read_bundle
from arena_ray.runner.source import LARGEST_FILE_BYTES


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    return root / next(iter(files))


def test_modules_beside_the_script_are_taken_along_recursively_and_no_others(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        {
            "train.py": "import os, torch\nimport nets\nfrom agents.ppo import Agent\ndef late():\n    import lazy\n",
            "nets.py": "from layers import *\n",
            "layers.py": "import train\n",
            "lazy.py": "",
            "agents/__init__.py": "from . import shared\n",
            "agents/ppo.py": "from .deep.inner import x\nfrom .. import outside\n",
            "agents/shared.py": "",
            "agents/unused.py": "",
            "agents/deep/inner.py": "x = 1\n",
            "unused.py": "",
            "outside.py": "",
        },
    )
    assert sorted(read_bundle(script).files) == [
        "agents/__init__.py",
        "agents/deep/inner.py",
        "agents/ppo.py",
        "agents/shared.py",
        "layers.py",
        "lazy.py",
        "nets.py",
        "train.py",
    ]


def test_a_submodule_imported_by_name_is_taken_along(tmp_path: Path) -> None:
    script = write(
        tmp_path, {"a.py": "from pkg import part\nimport pkg.other\n", "pkg/part.py": "", "pkg/other.py": ""}
    )
    assert sorted(read_bundle(script).files) == ["a.py", "pkg/other.py", "pkg/part.py"]


def test_modules_of_a_root_above_the_script_are_taken_along_and_found_there(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        {
            "scripts/a.py": "import beside, tools.buffers\n",
            "scripts/beside.py": "",
            "scripts/other.py": "",
            "tools/__init__.py": "",
            "tools/buffers.py": "import scripts.a\n",
            "unused.py": "",
        },
    )
    assert sorted(read_bundle(script).files) == ["a.py", "beside.py"]
    bundle = read_bundle(script, root=tmp_path)
    expected = ["scripts/a.py", "scripts/beside.py", "tools/__init__.py", "tools/buffers.py"]
    assert (bundle.entry, sorted(bundle.files)) == ("scripts/a.py", expected)
    written = bundle.materialise(tmp_path / "bundles")
    root = str(tmp_path / "bundles" / bundle.digest())
    assert bundle.add_modules({"A": "1"}, script=written) == {"A": "1", "PYTHONPATH": root}
    assert bundle.add_modules({"PYTHONPATH": "/x"}, script=written) == {"PYTHONPATH": f"{root}:/x"}
    assert read_bundle(script).add_modules({"A": "1"}, script=script) == {"A": "1"}


def test_a_symlink_that_leads_out_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere/secret.py": "password = 1\n"})
    script = write(tmp_path, {"here/a.py": "import secret\n"})
    (tmp_path / "here/secret.py").symlink_to(tmp_path / "elsewhere/secret.py")
    with pytest.raises(SpecError, match="leads out of the script's directory"):
        read_bundle(script)


def test_a_script_given_by_a_symlink_is_read_where_it_really_lies(tmp_path: Path) -> None:
    script = write(tmp_path, {"real/a.py": "import b\n", "real/b.py": ""})
    (tmp_path / "link.py").symlink_to(script)
    assert read_bundle(tmp_path / "link.py").entry == "a.py"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00binary", "is not UTF-8 text"),
        (b"x = 1\ny = = 2\n", r"b\.py:2: not valid Python"),
        (b"#" * (LARGEST_FILE_BYTES + 1), "a script may have"),
    ],
    ids=["binary", "syntax", "large"],
)
def test_an_unreadable_module_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    script = write(tmp_path, {"a.py": "import b\n"})
    (tmp_path / "b.py").write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        read_bundle(script)
    assert "b.py" in str(caught.value)


def test_too_many_modules_are_refused(tmp_path: Path) -> None:
    names = [f"m{i}" for i in range(bundle_module.MOST_FILES + 1)]
    script = write(tmp_path, {"a.py": f"import {', '.join(names)}\n", **{f"{name}.py": "" for name in names}})
    with pytest.raises(SpecError, match="a bundle holds 200"):
        read_bundle(script)


def test_too_large_a_bundle_is_refused(tmp_path: Path) -> None:
    names = [f"m{i}" for i in range(9)]
    filler = "#" * (LARGEST_FILE_BYTES - 10)
    script = write(tmp_path, {"a.py": f"import {', '.join(names)}\n", **{f"{name}.py": filler for name in names}})
    with pytest.raises(SpecError, match="a bundle holds"):
        read_bundle(script)


@pytest.mark.parametrize("name", ["../a.py", "/a.py", "a/../../b.py", ".a.py", "a.txt", "a\\b.py", "./a.py", "a//b.py"])
def test_a_bundle_from_elsewhere_cannot_name_a_file_outside(name: str) -> None:
    with pytest.raises(ValidationError):
        Bundle(entry="ok.py", files={"ok.py": "", name: ""})


def test_a_bundle_without_its_entry_is_refused() -> None:
    with pytest.raises(ValidationError, match="not among the files"):
        Bundle(entry="a.py", files={"b.py": ""})


def test_the_digest_tells_contents_names_and_entry_apart() -> None:
    bundles = [
        Bundle(entry="a.py", files={"a.py": "x", "b.py": "y"}),
        Bundle(entry="b.py", files={"a.py": "x", "b.py": "y"}),
        Bundle(entry="a.py", files={"a.py": "x", "b.py": "z"}),
        Bundle(entry="a.py", files={"a.py": "x", "c.py": "y"}),
        Bundle(entry="a.py", files={"a.py": "xy", "b.py": ""}),
    ]
    assert len({one.digest() for one in bundles}) == len(bundles)
    assert Bundle(entry="a.py", files={"b.py": "y", "a.py": "x"}).digest() == bundles[0].digest()


def test_a_bundle_survives_json_and_is_written_out_byte_for_byte(tmp_path: Path) -> None:
    text = "# ü\r\nimport sub.b\r\n"
    bundle = read_bundle(write(tmp_path, {"src/a.py": text, "src/sub/b.py": "y = 2\n"}))
    received = Bundle.model_validate_json(bundle.model_dump_json())
    entry = received.materialise(tmp_path / "bundles")
    assert entry == tmp_path / "bundles" / bundle.digest() / "a.py"
    assert entry.read_bytes() == text.encode()
    assert (entry.parent / "sub/b.py").read_text() == "y = 2\n"


def test_a_bundle_is_written_once_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    bundle = Bundle(entry="a.py", files={"a.py": "x = 1\n"})
    entry = bundle.materialise(tmp_path)
    written_at = entry.stat().st_mtime_ns
    (entry.parent / "__pycache__").mkdir()
    assert bundle.materialise(tmp_path) == entry
    assert entry.stat().st_mtime_ns == written_at
    assert [path.name for path in tmp_path.iterdir()] == [bundle.digest()]


def test_files_that_were_changed_after_they_were_written_are_not_run(tmp_path: Path) -> None:
    bundle = Bundle(entry="a.py", files={"a.py": "x = 1\n"})
    entry = bundle.materialise(tmp_path)
    entry.write_text("x = 2\n")
    with pytest.raises(ArenaError, match=r"was changed after it was written \(a\.py\)"):
        bundle.materialise(tmp_path)
    entry.write_text("x = 1\n")
    (entry.parent / "torch.py").write_text("shadow = True\n")
    with pytest.raises(ArenaError, match=r"torch\.py"):
        bundle.materialise(tmp_path)
