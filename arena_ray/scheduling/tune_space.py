"""Search spaces as users of Ray Tune write them, as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.search.sample import Categorical, Domain, Float, Integer, LogUniform, Quantized, Uniform

from arena_ray.model.errors import SpecError
from arena_ray.model.search_space import SearchSpace


def search_space_of(param_space: SearchSpace | Mapping[str, Any]) -> SearchSpace:
    """Return *param_space*, whose dimensions may be Tune's domains, plain data of ours, or lists of values.

    Raises:
        SpecError: One line for each mistake.
    """
    if isinstance(param_space, SearchSpace):
        return param_space
    return SearchSpace.parse({name: _plain(name, dimension) for name, dimension in param_space.items()})


def _plain(name: str, dimension: Any) -> Any:
    if isinstance(dimension, list | tuple):
        return {"choice": list(dimension)}
    if not isinstance(dimension, Domain):
        return dimension
    sampler = dimension.get_sampler()
    if isinstance(dimension, Categorical):
        return {"choice": list(dimension.categories)}
    if isinstance(dimension, Float | Integer):
        bounds = [dimension.lower, dimension.upper]
        if isinstance(sampler, Quantized) and isinstance(sampler.get_sampler(), Uniform):
            return {"quniform": [*bounds, sampler.q]}
        if isinstance(sampler, Uniform):
            return {"randint" if isinstance(dimension, Integer) else "uniform": bounds}
        if isinstance(sampler, LogUniform) and isinstance(dimension, Float):
            return {"loguniform": bounds}
    raise SpecError(
        f"param_space.{name}: {dimension.domain_str} of Tune has no bounds to stay within; "
        "use uniform, loguniform, quniform, randint, qrandint or choice"
    )
