"""Models shared by the tests, with exact solutions where there are any."""

import numpy as np
import scipy.linalg

import workbench as wb


class Room(wb.Ode):
    """Lumped room and wall heat balance."""

    time_unit = "h"
    T = wb.State("degC", start=20.0)
    R = wb.Parameter("K/kW", prior=wb.prior.LogNormal(median=5.0, sigma=0.3))
    C = wb.Parameter("kWh/K", prior=wb.prior.LogNormal(median=2.0, sigma=0.3))
    To = wb.Input("degC")
    Q = wb.Input("kW", kind="previous")
    T_meas = wb.Output("degC", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t, x, u, p):
        return {"T": ((u.To - x.T) / p.R + u.Q) / p.C}

    def observe(self, t, x, u, p):
        return {"T_meas": x.T}


class LynxHare(wb.Ode):
    """Predator and prey, u' = (alpha - beta v) u, v' = (-gamma + delta u) v (Lotka 1925, Volterra 1926)."""

    time_unit = "year"
    hare = wb.State("1", start=wb.prior.LogNormal(mu=np.log(10), sigma=1))
    lynx = wb.State("1", start=wb.prior.LogNormal(mu=np.log(10), sigma=1))
    alpha = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=1, sigma=0.5, lower=0))
    beta = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=0.05, sigma=0.05, lower=0))
    gamma = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=1, sigma=0.5, lower=0))
    delta = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=0.05, sigma=0.05, lower=0))
    hare_pelts = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(mu=-1, sigma=1)))
    lynx_pelts = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(mu=-1, sigma=1)))

    def rhs(self, t, x, u, p):
        return {"hare": (p.alpha - p.beta * x.lynx) * x.hare, "lynx": (-p.gamma + p.delta * x.hare) * x.lynx}

    def observe(self, t, x, u, p):
        return {"hare_pelts": x.hare, "lynx_pelts": x.lynx}


class Dosing(wb.Ode):
    """Two linear compartments, with doses, a stepwise infusion, a release in ramps, and a start that is estimated."""

    time_unit = "h"
    depot = wb.State("mg", start=0.0)
    centre = wb.State("mg", start=wb.prior.LogNormal(median=10.0, sigma=0.5))
    ka = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=1.2, sigma=0.5))
    ke = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.3, sigma=0.5))
    V = wb.Parameter("L", prior=wb.prior.LogNormal(median=20.0, sigma=0.5), bounds=(0, None))
    share = wb.Parameter("1", value=0.5)
    dose = wb.Input("mg", kind="impulse", into="depot")
    infusion = wb.Input("mg/h", kind="previous")
    release = wb.Input("mg/h")
    concentration = wb.Output("mg/L", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)), long_name="in plasma")
    total = wb.Output("mg")

    def rhs(self, t, x, u, p):
        absorbed = p.ka * x.depot
        return {
            "depot": p.share * u.release - absorbed,
            "centre": absorbed - p.ke * x.centre + u.infusion + (1 - p.share) * u.release,
        }

    def observe(self, t, x, u, p):
        return {"concentration": x.centre / p.V, "total": x.depot + x.centre}


class Kepler(wb.Ode):
    """A planet about the sun, in units of its long half-axis and of its period over 2 pi."""

    time_unit = "s"
    x = wb.State("1", start="x0")
    y = wb.State("1", start=0.0)
    vx = wb.State("1/s", start=0.0)
    vy = wb.State("1/s", start="v0")
    x0 = wb.Parameter("1", value=0.7)
    v0 = wb.Parameter("1/s", value=(1.3 / 0.7) ** 0.5)
    mu = wb.Parameter("1/s**2", value=1.0)

    def rhs(self, t, x, u, p):
        pull = -p.mu / (x.x**2 + x.y**2) ** 1.5
        return {"x": x.vx, "y": x.vy, "vx": pull * x.x, "vy": pull * x.y}


def kepler_exact(times, eccentricity):
    """Return (times, 4) places and velocities from the perihelion on, by Kepler's equation."""
    anomaly = np.array(times, dtype=float)
    for _ in range(50):
        anomaly -= (anomaly - eccentricity * np.sin(anomaly) - times) / (1 - eccentricity * np.cos(anomaly))
    rate, minor = 1 / (1 - eccentricity * np.cos(anomaly)), np.sqrt(1 - eccentricity**2)
    place = [np.cos(anomaly) - eccentricity, minor * np.sin(anomaly)]
    return np.stack([*place, -np.sin(anomaly) * rate, minor * np.cos(anomaly) * rate], axis=1)


class Growth(wb.Ode):
    """x' = r x + b x^2 - s (x - cos w t): logistic for b = -r / capacity, blowing up for b > 0, stiff for large s."""

    time_unit = "s"
    x = wb.State("1", start="x0")
    x0 = wb.Parameter("1", value=0.1)
    r = wb.Parameter("1/s", value=0.0)
    b = wb.Parameter("1/s", value=0.0)
    s = wb.Parameter("1/s", value=0.0)
    w = wb.Parameter("1/s", value=1.0)

    def rhs(self, t, x, u, p):
        return {"x": p.r * x.x + p.b * x.x**2 - p.s * (x.x - wb.math.cos(p.w * t))}


def dosing_exact(times, *, values, start, dose, infusion, release):
    """Return (times, 2) amounts in both compartments, by the matrix exponential from event to event.

    `dose` maps times to amounts, `infusion` times to values that hold, `release` times to values joined by lines. The
    value at an event is the one after it. Complex values give complex amounts.
    """
    knots, heights = np.array(list(release), dtype=float), np.array(list(release.values()), dtype=float)
    events = np.unique([*times, *dose, *infusion, *knots])
    events = events[(events >= times[0]) & (events <= times[-1])]
    ka, ke, share = values["ka"], values["ke"], values["share"]
    found, amounts = {}, np.array(start)
    for k, t in enumerate(events):
        amounts = np.array([amounts[0] + dose.get(float(t), 0.0), amounts[1]])
        found[float(t)] = amounts
        if k + 1 == len(events):
            break
        step = events[k + 1] - t
        flow = infusion[max(key for key in infusion if key <= t)]
        here, there = np.interp([t, events[k + 1]], knots, heights)
        slope = (there - here) / step
        system = np.zeros((4, 4), dtype=complex)  # the amounts, then the line of the inputs as constant and time
        system[:2] = [[-ka, 0, share * here, share * slope], [ka, -ke, flow + (1 - share) * here, (1 - share) * slope]]
        system[3, 2] = 1
        amounts = (scipy.linalg.expm(system * step) @ [*amounts, 1, 0])[:2]
    amounts = np.array([found[float(t)] for t in times])
    return amounts if np.iscomplexobj([*values.values(), *start]) else amounts.real


class Ball(wb.Ode):
    """A ball that bounces, which browsers leave to the kernel."""

    time_unit = "s"
    height = wb.State("m", start=2.0)
    speed = wb.State("m/s", start=0.0)
    e = wb.Parameter("1", prior=wb.prior.Beta(8, 2), long_name="restitution")
    floor = wb.Event("m", direction="falling")
    seen = wb.Output("m")

    def rhs(self, t, x, u, p):
        """Fall."""
        return {"height": x.speed, "speed": -9.81}

    def events(self, t, x, u, p):
        """Touch the floor."""
        return {"floor": x.height}

    def reset(self, t, x, u, p):
        """Bounce."""
        return {"floor": {"speed": -p.e * x.speed}}

    def observe(self, t, x, u, p):
        """See the height."""
        return {"seen": x.height}


class Line(wb.Static):
    """A straight line over an input: rows are cases."""

    x = wb.Input("s")
    a = wb.Parameter("m", prior=wb.prior.Normal(mu=0.0, sigma=2.0))
    b = wb.Parameter("m/s", prior=wb.prior.Normal(mu=0.0, sigma=2.0))
    y = wb.Output("m", noise=wb.noise.Normal(sigma=0.5))

    def observe(self, t, x, u, p):
        return {"y": p.a + p.b * u.x}
