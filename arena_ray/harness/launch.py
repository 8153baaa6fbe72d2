"""Run a script as ``__main__`` under the harness, and tell how it ended."""

from __future__ import annotations

import argparse
import ast
import builtins
import importlib.machinery
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from . import gymnasium_compat, mainloop
from .loopless import Loopless
from .outcomes import RestoreFailed, StopTraining
from .printed import Printed
from .session import Session
from .tensorboard import Journal
from .wire import Message, Wire

_HERE = str(Path(__file__).parent) + os.sep
_SCHEMA_VERSION = 1
_INTERRUPTED = 130


class _Run:
    """One script under the harness."""

    def __init__(self, options: argparse.Namespace, script: str) -> None:
        self.script = Path(script).absolute()
        self.attempt: int = options.attempt
        self.journal = Journal(options.tensorboard)
        self.wire = Wire(options.fd)
        self.session: Optional[Union[Session, Loopless]] = None
        self._is_older = False  # than the Gymnasium of today

    def prepare(self) -> types.CodeType:
        """Read the script, and instrument its main loop where it has one.

        Raises:
            OSError: It cannot be read.
            SyntaxError: It is not Python.
        """
        source, path = self.script.read_bytes(), str(self.script)
        instrumented = mainloop.instrument(source, path)
        session: Union[Session, Loopless]
        if instrumented is None:
            session, main_loop = Loopless(self.wire, self.journal), None
            code = compile(source, path, "exec", dont_inherit=True)
        else:
            session = Session(self.wire, self.journal, script=self.script, attempt=self.attempt, program=instrumented)
            main_loop = {"line": instrumented.loop.line, "scope": instrumented.loop.scope}
            code = instrumented.code
        self.session = session
        self._is_older = gymnasium_compat.is_written_for_older(ast.parse(source))
        self.journal.connect(lambda: session.position, self.wire.send)
        hello: Message = {"type": "hello", "schema_version": _SCHEMA_VERSION, "pid": os.getpid()}
        hello.update(python=sys.executable, script=path, main_loop=main_loop)
        self.wire.send(hello)
        self.wire.start(session.receive)
        return code

    def execute(self, code: types.CodeType) -> None:
        """Run the script in a fresh ``__main__`` module."""
        assert self.session is not None
        main = types.ModuleType("__main__")
        names: Dict[str, Any] = vars(main)
        names.update(__file__=str(self.script), __cached__=None, __builtins__=builtins)
        names["__loader__"] = importlib.machinery.SourceFileLoader("__main__", str(self.script))
        if isinstance(self.session, Session):
            names["__arena_loop__"] = self.session.iterate
            names["__arena_boundary__"] = self.session.boundary
            names["__arena_exhausted__"] = self.session.exhausted
            names["__arena_ended__"] = self.session.ended
        else:
            self.session.start()
        sys.modules["__main__"] = main
        sys.stdout = Printed(sys.stdout, self.journal)
        self.journal.install()
        if self._is_older:
            gymnasium_compat.install()
        exec(code, names)

    def finish(self, message: Message) -> None:
        """Send the last *message* after all that was logged."""
        self.journal.flush_writers()
        if isinstance(self.session, Session):
            self.session.close()
        self.wire.finish(*self.journal.take(), message)

    @property
    def is_stopping(self) -> bool:
        """Whether a script that has no boundary was told to stop."""
        return isinstance(self.session, Loopless) and self.session.is_stopping

    def bye(self, outcome: str) -> None:
        """Say how the script ended: ``completed`` or ``stopped``."""
        assert self.session is not None
        place = {"boundary": self.session.position, "step": self.session.step()}
        self.finish({"type": "bye", "outcome": outcome, **place})


def main(argv: List[str]) -> Any:
    """Run the harness and return the process's exit code: an integer, or what the script gave ``sys.exit``."""
    options, script = _parse(argv)
    if options.cores:
        _bind(options.cores)
    run = _Run(options, script[0])
    sys.argv = script
    sys.path.insert(0, str(run.script.parent))
    try:
        code = run.prepare()
    except (OSError, SyntaxError, ValueError) as exc:
        exc.__traceback__ = None  # no line of the script ran
        return _fail(run, exc, 1 if isinstance(exc, SyntaxError) else 2)
    try:
        run.execute(code)
    except BaseException as exc:  # noqa: BLE001 - whatever the script raises ends here, as it does in Python itself
        return _after(run, exc)
    run.bye("stopped" if run.is_stopping else "completed")
    return 0


def _bind(cores: List[int]) -> None:
    """Run on these cores alone; what is forked, like the writer of a snapshot, may run on any again."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    os.register_at_fork(after_in_child=lambda: os.sched_setaffinity(0, allowed))


def _after(run: _Run, exc: BaseException) -> Any:
    """Tell how the script was ended by *exc*, and return the exit code."""
    if isinstance(exc, StopTraining) or run.is_stopping:
        run.bye("stopped")
        return 0
    if isinstance(exc, SystemExit):
        if exc.code not in (None, 0):
            run.finish(_error(run, exc, f"the script exited with {exc.code!r}", exc.__traceback__))
        else:
            run.bye("completed")
        return exc.code
    if isinstance(exc, KeyboardInterrupt):
        return _fail(run, exc, _INTERRUPTED)
    return _fail(run, exc, 3 if isinstance(exc, RestoreFailed) else 1)


def _parse(argv: List[str]) -> Tuple[argparse.Namespace, List[str]]:
    parser = argparse.ArgumentParser(
        prog="harness", usage="harness --fd N --attempt A [--cores N …] [--tensorboard DIR] -- SCRIPT …"
    )
    parser.add_argument("--fd", type=int, required=True, help="the socket to the run")
    parser.add_argument("--attempt", type=int, required=True, help="which attempt of its run this is")
    parser.add_argument("--cores", type=int, nargs="+", help="the cores that it has to itself")
    parser.add_argument("--tensorboard", default=None, help="where event files are to lie")
    split = argv.index("--") if "--" in argv else len(argv)
    if not argv[split + 1 :]:
        parser.error("no script after --")
    return parser.parse_args(argv[:split]), argv[split + 1 :]


def _fail(run: _Run, exc: BaseException, exit_code: int) -> int:
    """Print the traceback as Python would, tell the run, and return *exit_code*."""
    shown = _without_harness(exc.__traceback__)
    exc.__traceback__ = shown
    if isinstance(exc, RestoreFailed) or (shown is None and not isinstance(exc, SyntaxError)):
        exc.__cause__, exc.__suppress_context__ = None, True
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
    else:
        sys.excepthook(type(exc), exc, shown)
    run.finish(_error(run, exc, str(exc), shown))
    return exit_code


def _error(run: _Run, exc: BaseException, message: str, trace: Optional[types.TracebackType]) -> Message:
    lines = [entry.lineno for entry in traceback.extract_tb(trace) if entry.filename == str(run.script)]
    if isinstance(exc, SyntaxError) and not lines:
        lines = [exc.lineno]
    text = "".join(traceback.format_exception(type(exc), exc, _without_harness(trace)))
    told: Message = {"type": "error", "class": type(exc).__name__, "message": message, "traceback": text}
    return {**told, "line": lines[-1] if lines else None}


def _without_harness(trace: Optional[types.TracebackType]) -> Optional[types.TracebackType]:
    """Return *trace* without the frames of this package, which the script's author has not written.

    Where it ends in this package the fault is ours, and the whole trace stays.
    """
    entries = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    ours = [entry.tb_frame.f_code.co_filename.startswith(_HERE) for entry in entries]
    if ours and ours[-1]:
        return entries[0]
    rest = None
    for entry in reversed([entry for index, entry in enumerate(entries) if not ours[index]]):
        rest = types.TracebackType(rest, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return rest
