"""Five stiff problems with published end values, for tests and benchmarks.

Equations, spans and end values are those of the Test Set for IVP Solvers (F. Mazzia and C. Magherini, release 2.4,
University of Bari, 2008; problems ROBER, VDPOL, HIRES, OREGO, POLLU), where the last four were computed with RADAU5 in
extended precision at a relative tolerance of 1.1e-18. HIRES, OREGO and VDPOL are also in E. Hairer and G. Wanner,
Solving Ordinary Differential Equations II (1996), section IV.10.

Cross-checked with SciPy's Radau and with CVODE at relative tolerances of 1e-11, 1e-12 and 1e-13, complex-step
Jacobians and absolute tolerances far below the end values: Radau agrees with every published component to a relative
7e-13 or better, CVODE, whose error shrinks with its tolerance, to 8e-11 at 1e-13. No published digit is contradicted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import workbench as wb


class Robertson(wb.Ode):
    """Three species react; H. H. Robertson (1966), The solution of a set of reaction rate equations."""

    time_unit = "s"
    y1 = wb.State("1", start=1.0)
    y2 = wb.State("1", start=0.0)
    y3 = wb.State("1", start=0.0)
    k1 = wb.Parameter("1/s", value=0.04)
    k2 = wb.Parameter("1/s", value=3e7)
    k3 = wb.Parameter("1/s", value=1e4)

    def rhs(self, t, x, u, p):
        decay, pairing, back = p.k1 * x.y1, p.k2 * x.y2**2, p.k3 * x.y2 * x.y3
        return {"y1": back - decay, "y2": decay - back - pairing, "y3": pairing}


class VanDerPol(wb.Ode):
    """Relaxation oscillator y'' = mu (1 - y^2) y' - y; B. van der Pol (1926), On relaxation oscillations."""

    time_unit = "s"
    y = wb.State("1", start=2.0)
    v = wb.State("1/s", start=0.0)
    mu = wb.Parameter("1/s", value=1000.0)
    pull = wb.Parameter("1/s**2", value=1.0)

    def rhs(self, t, x, u, p):
        return {"y": x.v, "v": p.mu * (1 - x.y**2) * x.v - p.pull * x.y}


class Hires(wb.Ode):
    """High irradiance response of a plant, 8 species; E. Schaefer (1975), J. Math. Biology 2, 41-56."""

    time_unit = "s"
    y1 = wb.State("1", start=1.0)
    y2 = wb.State("1", start=0.0)
    y3 = wb.State("1", start=0.0)
    y4 = wb.State("1", start=0.0)
    y5 = wb.State("1", start=0.0)
    y6 = wb.State("1", start=0.0)
    y7 = wb.State("1", start=0.0)
    y8 = wb.State("1", start=0.0057)
    k1 = wb.Parameter("1/s", value=1.71)
    k2 = wb.Parameter("1/s", value=0.43)
    k3 = wb.Parameter("1/s", value=8.32)
    k4 = wb.Parameter("1/s", value=0.69)
    k5 = wb.Parameter("1/s", value=0.035)
    k6 = wb.Parameter("1/s", value=8.32)
    k_plus = wb.Parameter("1/s", value=280.0)
    k_minus = wb.Parameter("1/s", value=0.69)
    k_star = wb.Parameter("1/s", value=0.69)
    supply = wb.Parameter("1/s", value=0.0007)

    def rhs(self, t, x, u, p):
        bound = p.k_plus * x.y6 * x.y8 - (p.k_minus + p.k2 + p.k_star) * x.y7
        return {
            "y1": -p.k1 * x.y1 + p.k2 * x.y2 + p.k6 * x.y3 + p.supply,
            "y2": p.k1 * x.y1 - (p.k2 + p.k3) * x.y2,
            "y3": -(p.k6 + p.k1) * x.y3 + p.k2 * x.y4 + p.k5 * x.y5,
            "y4": p.k3 * x.y2 + p.k1 * x.y3 - (p.k4 + p.k2) * x.y4,
            "y5": -(p.k5 + p.k1) * x.y5 + p.k2 * (x.y6 + x.y7),
            "y6": p.k4 * x.y4 + p.k1 * x.y5 - p.k2 * x.y6 + p.k_minus * x.y7 - p.k_plus * x.y6 * x.y8,
            "y7": bound,
            "y8": -bound,
        }


class Oregonator(wb.Ode):
    """Belousov-Zhabotinskii reaction; R. J. Field and R. M. Noyes (1974), J. Chem. Phys. 60, 1877-1884."""

    time_unit = "s"
    y1 = wb.State("1", start=1.0)
    y2 = wb.State("1", start=2.0)
    y3 = wb.State("1", start=3.0)
    s = wb.Parameter("1/s", value=77.27)
    slow = wb.Parameter("s", value=77.27)
    q = wb.Parameter("1", value=8.375e-6)
    w = wb.Parameter("1/s", value=0.161)

    def rhs(self, t, x, u, p):
        return {
            "y1": p.s * (x.y2 + x.y1 * (1 - p.q * x.y1 - x.y2)),
            "y2": (x.y3 - (1 + x.y1) * x.y2) / p.slow,
            "y3": p.w * (x.y1 - x.y3),
        }


# Reaction rates k1 to k25 of POLLU: per minute, and per ppm and minute where two species meet.
_RATES = (0.35, 26.6, 1.23e4, 8.6e-4, 8.2e-4, 1.5e4, 1.3e-4, 2.4e4, 1.65e4, 9e3, 0.022, 1.2e4, 1.88, 1.63e4, 4.8e6,
          3.5e-4, 0.0175, 1e8, 4.44e11, 1.24e3, 2.1, 5.78, 0.0474, 1.78e3, 3.12)  # fmt: skip
_PAIRS = {2, 3, 6, 8, 9, 10, 12, 14, 20, 23, 24}
_AT_START = {2: 0.2, 4: 0.04, 7: 0.1, 8: 0.3, 9: 0.01, 17: 0.007}


class Pollution(wb.Ode):
    """Chemistry of polluted air, 20 species, 25 reactions; J. G. Verwer (1994), SIAM J. Sci. Comput. 15, 1243-1250."""

    time_unit = "min"
    vars().update({f"y{i}": wb.State("ppm", start=_AT_START.get(i, 0.0)) for i in range(1, 21)})
    vars().update(
        {f"k{i}": wb.Parameter("1/ppm/min" if i in _PAIRS else "1/min", value=k) for i, k in enumerate(_RATES, start=1)}
    )

    def rhs(self, t, x, u, p):
        r1, r2, r3, r4, r5 = p.k1 * x.y1, p.k2 * x.y2 * x.y4, p.k3 * x.y5 * x.y2, p.k4 * x.y7, p.k5 * x.y7
        r6, r7, r8, r9 = p.k6 * x.y7 * x.y6, p.k7 * x.y9, p.k8 * x.y9 * x.y6, p.k9 * x.y11 * x.y2
        r10, r11, r12, r13 = p.k10 * x.y11 * x.y1, p.k11 * x.y13, p.k12 * x.y10 * x.y2, p.k13 * x.y14
        r14, r15, r16, r17 = p.k14 * x.y1 * x.y6, p.k15 * x.y3, p.k16 * x.y4, p.k17 * x.y4
        r18, r19, r20, r21 = p.k18 * x.y16, p.k19 * x.y16, p.k20 * x.y17 * x.y6, p.k21 * x.y19
        r22, r23, r24, r25 = p.k22 * x.y19, p.k23 * x.y1 * x.y4, p.k24 * x.y19 * x.y1, p.k25 * x.y20
        return {
            "y1": r2 + r3 + r9 + r11 + r12 + r22 + r25 - r1 - r10 - r14 - r23 - r24,
            "y2": r1 + r21 - r2 - r3 - r9 - r12,
            "y3": r1 + r17 + r19 + r22 - r15,
            "y4": r15 - r2 - r16 - r17 - r23,
            "y5": 2 * r4 + r6 + r7 + r13 + r20 - r3,
            "y6": r3 + 2 * r18 - r6 - r8 - r14 - r20,
            "y7": r13 - r4 - r5 - r6,
            "y8": r4 + r5 + r6 + r7,
            "y9": -r7 - r8,
            "y10": r7 + r9 - r12,
            "y11": r8 + r11 - r9 - r10,
            "y12": r9,
            "y13": r10 - r11,
            "y14": r12 - r13,
            "y15": r14,
            "y16": r16 - r18 - r19,
            "y17": -r20,
            "y18": r20,
            "y19": r23 + r25 - r21 - r22 - r24,
            "y20": r24 - r25,
        }


@dataclass(frozen=True)
class Problem:
    """A model, the end of its span (which begins at 0), and the published states there.

    `scale` says below which size a state does not matter: solvers are given an absolute tolerance of rtol * scale, and
    errors count relative to scale + |state|.
    """

    model: type[wb.Ode]
    end: float
    reference: tuple[float, ...]
    scale: float

    def error(self, states: Any) -> float:
        """Return the largest error of the states (n,) at the end."""
        true = np.array(self.reference)
        return float(np.max(np.abs(np.asarray(states) - true) / (self.scale + np.abs(true))))

    def at(self, rtol: float) -> wb.Ode:
        """Return the model with a relative tolerance, and the absolute one that goes with it."""
        body = {"rtol": rtol, "atol": rtol * self.scale}
        return type(self.model)(self.model.__name__, (self.model,), body)()


PROBLEMS = {
    "Robertson": Problem(
        Robertson, 1e11, (0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050), 1e-13
    ),
    "Van der Pol": Problem(VanDerPol, 2000.0, (1.706167732170469, -0.8928097010248125e-3), 1e-3),
    "HIRES": Problem(
        Hires, 321.8122,
        (0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
         0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2),
        1e-3,
    ),
    "OREGO": Problem(
        Oregonator, 360.0, (1.000814870318523, 1228.178521549917, 132.0554942846706), 1.0
    ),
    "Pollution": Problem(
        Pollution, 60.0,
        (0.5646255480022769e-1, 0.1342484130422339, 0.4139734331099427e-8, 0.5523140207484359e-2,
         0.2018977262302196e-6, 0.1464541863493966e-6, 0.7784249118997964e-1, 0.3245075353396018,
         0.7494013383880406e-2, 0.1622293157301561e-7, 0.1135863833257075e-7, 0.2230505975721359e-2,
         0.2087162882798630e-3, 0.1396921016840158e-4, 0.8964884856898295e-2, 0.4352846369330103e-17,
         0.6899219696263405e-2, 0.1007803037365946e-3, 0.1772146513969984e-5, 0.5682943292316392e-4),
        1e-3,
    ),
}  # fmt: skip
