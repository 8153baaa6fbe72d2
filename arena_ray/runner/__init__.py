"""The door for runners: what a runner describes, and what checks, starts and watches its scripts."""

from arena_ray.runner.arguments import build_flags, read_arguments
from arena_ray.runner.capability import CapabilityReport, inspect_capabilities
from arena_ray.runner.inspection import inspect_script
from arena_ray.runner.protocol import Capabilities, Installable, MainLoop, Recipe, Runner, ScriptArgument, ScriptReport

__all__ = [
    "Capabilities",
    "CapabilityReport",
    "Installable",
    "MainLoop",
    "Recipe",
    "Runner",
    "ScriptArgument",
    "ScriptReport",
    "build_flags",
    "inspect_capabilities",
    "inspect_script",
    "read_arguments",
]
