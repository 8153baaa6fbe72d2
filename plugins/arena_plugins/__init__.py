"""Plugins that come with arena_ray. They enter by the same door as anybody else's."""
