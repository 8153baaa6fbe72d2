"""What becomes of the wire when one of its ends goes away, or says what nobody understands."""

import os
import signal

from waiting import is_alive, wait_until


def test_trainer_whose_peer_goes_away_ends_itself_and_its_children(train):
    trainer = train(
        """
        import os, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(child.pid)
        while True:
            time.sleep(0.01)
            {}.update()
        """
    )
    trainer.wait_for("boundary", held=True)
    child = int(trainer.process.stdout.readline())
    trainer.send("grant", until_step=None)
    trainer.lines.close()
    trainer.socket.close()
    assert trainer.process.wait(60) == -signal.SIGKILL
    wait_until(lambda: not is_alive(child))


def test_trainer_in_a_group_of_others_ends_only_itself(train):
    trainer = train(
        """
        import subprocess, sys
        for step in range(9):
            {}.update()
        """,
        own_group=False,
    )
    trainer.wait_for("boundary", held=True)
    trainer.lines.close()
    trainer.socket.close()
    assert trainer.process.wait(60) == 1
    assert os.getpgrp(), "we share its group and are still here"


def test_forked_worker_does_not_keep_the_wire_open(train):
    trainer = train(
        """
        import os, time
        if (pid := os.fork()) == 0:
            os.setsid()
            time.sleep(600)
        print(pid, flush=True)
        for step in range(9):
            {}.update()
        """
    )
    trainer.wait_for("boundary", held=True)
    worker = int(trainer.process.stdout.readline())
    os.kill(trainer.process.pid, signal.SIGKILL)
    assert trainer.next() is None
    assert is_alive(worker)
    os.kill(worker, signal.SIGKILL)


def test_unknown_and_broken_lines_are_ignored(train):
    trainer = train("for step in range(3):\n    {}.update()\n")
    trainer.wait_for("boundary", held=True)
    trainer.socket.sendall(b'not json\n[1]\n{"type": "dance", "how": 1}\n{"no": "type"}\n')
    trainer.finish()
