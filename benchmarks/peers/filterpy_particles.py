"""filterpy's unscented filter and particles' bootstrap filter on the pendulum: seconds and estimates."""

import argparse
import json
import time

import numpy as np


def unscented(readings: np.ndarray) -> dict[str, float]:
    """Return seconds and the last angle by filterpy."""
    import filterpy
    from filterpy.kalman import MerweScaledSigmaPoints, UnscentedKalmanFilter

    def carry(x: np.ndarray, dt: float) -> np.ndarray:
        return np.array([x[0] + dt * x[1], x[1] - dt * 9.8 * np.sin(x[0])])

    made = UnscentedKalmanFilter(
        2, 1, 0.01, lambda x: np.array([np.sin(x[0])]), carry, MerweScaledSigmaPoints(2, 0.5, 2.0, 1.0)
    )
    made.x, made.P = np.array([1.5, 0.0]), np.diag([0.01, 0.01])
    made.Q, made.R = np.diag([0.003**2, 0.02**2]), np.array([[0.01]])
    made.sigmas_f = made.points_fn.sigma_points(made.x, made.P)
    began = time.perf_counter()
    for k, value in enumerate(readings):
        if k:
            made.predict()
        made.update(np.array([value]))
    return {"seconds": time.perf_counter() - began, "angle": float(made.x[0]), "version": filterpy.__version__}


def bootstrap(readings: np.ndarray, count: int) -> dict[str, float]:
    """Return seconds and the log evidence by particles, which keeps the filter's moments as we do."""
    import particles
    from particles import distributions as d
    from particles import state_space_models as ssm
    from particles.collectors import Moments

    class Pendulum(ssm.StateSpaceModel):
        def PX0(self) -> d.IndepProd:
            return d.IndepProd(d.Normal(1.5, 0.1), d.Normal(0.0, 0.1))

        def PX(self, t: int, xp: np.ndarray) -> d.IndepProd:
            return d.IndepProd(
                d.Normal(xp[:, 0] + 0.01 * xp[:, 1], 0.003), d.Normal(xp[:, 1] - 0.098 * np.sin(xp[:, 0]), 0.02)
            )

        def PY(self, t: int, xp: np.ndarray, x: np.ndarray) -> d.Normal:
            return d.Normal(np.sin(x[:, 0]), 0.1)

    made = particles.SMC(
        fk=ssm.Bootstrap(ssm=Pendulum(), data=readings), N=count, resampling="systematic", collect=[Moments()]
    )
    began = time.perf_counter()
    made.run()
    return {"seconds": time.perf_counter() - began, "evidence": float(made.logLt), "version": particles.__version__}


def main() -> None:
    """Run one filter, and print the record as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("unscented", "bootstrap"))
    parser.add_argument("readings")
    parser.add_argument("--particles", type=int, default=1000)
    asked = parser.parse_args()
    readings = np.load(asked.readings)
    runs = [
        unscented(readings) if asked.which == "unscented" else bootstrap(readings, asked.particles) for _ in range(3)
    ]
    print(json.dumps(min(runs, key=lambda run: run["seconds"])))


if __name__ == "__main__":
    main()
