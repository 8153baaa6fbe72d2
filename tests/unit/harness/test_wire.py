import json
import math

from arena_ray.harness.wire import strict


def test_numbers_that_json_lacks_go_by_their_names():
    value = {"a": [math.nan, math.inf], "b": {"c": -math.inf}, "d": 1.5, "e": (0.1, True, None)}
    encoded = json.dumps(strict(value), allow_nan=False)
    assert json.loads(encoded) == {
        "a": ["NaN", "Infinity"],
        "b": {"c": "-Infinity"},
        "d": 1.5,
        "e": [0.1, True, None],
    }
