"""``python -m arena_ray`` is ``arena``."""

from arena_ray.cli import main

if __name__ == "__main__":
    main()
