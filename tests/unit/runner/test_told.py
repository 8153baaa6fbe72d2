from __future__ import annotations

from arena_ray.runner.told import checkpoint_event, skipped_notes

SAVED = {"boundary": 3, "step": 30, "path": "/c/30", "digest": "d", "policy_digest": "p", "size_bytes": 9}


def test_a_checkpoint_tells_what_it_lacks() -> None:
    message = SAVED | {"skipped": [{"name": "envs", "why": "TypeError: no"}]}
    assert checkpoint_event(message).left_out == ("envs (TypeError: no)",)
    assert skipped_notes(message) == ["not captured: envs (TypeError: no); resume is warm, not exact"]
    assert checkpoint_event(SAVED).left_out == ()
