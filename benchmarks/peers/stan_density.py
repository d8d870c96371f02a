"""The log density of a Stan program, timed as compiled code."""

import time
from typing import Any

from benchmarks.peers.protocol import LOOP, Gradients, time_sweeps


def gradients(program: str, data: dict[str, Any], points: list[list[float]]) -> Gradients:
    """Time the compiled model's own log_prob_grad, less what each call spends on building the model and its data."""
    import stan
    from httpstan.models import import_services_extension_module

    began = time.perf_counter()
    model = stan.build(program, data=data, random_seed=1)
    compiled = time.perf_counter() - began
    services = import_services_extension_module(model.model_name)
    density = [services.log_prob(data, point, True) for point in points]
    found = [services.log_prob_grad(data, point, True) for point in points]
    whole = time_sweeps(lambda: [services.log_prob_grad(data, point, True) for point in points], len(points))
    building = min(time_sweeps(lambda: [services.get_dims(data) for _ in points], len(points)))
    return Gradients(
        density, found, {LOOP: [each - building for each in whole]}, compiled, versions(),
        f"{building:.0f} us for building the model in each call are subtracted",
    )  # fmt: skip


def versions() -> str:
    """Return the versions that the numbers depend on."""
    from importlib.metadata import version

    return f"pystan {version('pystan')}, httpstan {version('httpstan')}"
