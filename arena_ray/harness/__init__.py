"""The harness runs inside the training process: it finds a script's main loop and stops, saves and resumes it there.

It is started as ``python -u arena_ray/harness --fd N --attempt A [--tensorboard DIR] -- SCRIPT ARGS``, in the
interpreter of the script, which may be as old as Python 3.8. So these files need nothing but the standard library,
import nothing else of arena_ray, and use numpy and torch only once the script itself has imported them.
"""
