"""Values and rules: what an experiment is, which moves are allowed, what may go wrong.

No I/O but reading the files that a user names.
"""
