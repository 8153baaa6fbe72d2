"""Values and rules of arena_ray: what an experiment is, which moves are allowed, what may go wrong. No I/O beyond reading the files a user names."""
