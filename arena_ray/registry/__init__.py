"""Durable truth: experiments, revisions, runs, their attempts and checkpoints, and the moves between their states."""
