"""Models for the tests of filters: linear ones with exact answers, and the chaotic ones of the literature."""

import numpy as np

import workbench as wb

NILE = [
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140,
    1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969,
    831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759,
    781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890,
    744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
]  # fmt: skip
"""Annual flow of the Nile at Aswan 1871-1970, 1e8 m3 (Cobb, Biometrika 65 (1978) 243-251)."""


class Nile(wb.Map):
    """The local level model of Durbin & Koopman (2012), chapter 2, with a diffuse start."""

    time_unit = "year"
    level = wb.State("1", start=wb.prior.Flat(), noise=np.sqrt(1469.178))
    flow = wb.Output("1", noise=wb.noise.Normal(sigma=np.sqrt(15098.53)))

    def step(self, t, x, u, p):
        return {"level": x.level}

    def observe(self, t, x, u, p):
        return {"flow": x.level}


class Spring(wb.Ode):
    """A damped mass on a spring, pushed at random and by a force: linear, so that Kalman's filter is exact."""

    time_unit = "s"
    x = wb.State("m", start=wb.prior.Normal(mu=1.0, sigma=0.5))
    v = wb.State("m/s", start=wb.prior.Normal(mu=0.0, sigma=0.5), noise=0.4)
    stiffness = wb.Parameter("1/s**2", prior=wb.prior.LogNormal(median=4.0, sigma=0.3))
    damping = wb.Parameter("1/s", value=0.5)
    force = wb.Input("m/s**2")
    blow = wb.Input("m/s", kind="impulse", into="v")
    place = wb.Output("m", noise=wb.noise.Normal(sigma=0.1))
    speed = wb.Output("m/s", noise=wb.noise.Normal(sigma=0.3))

    def rhs(self, t, x, u, p):
        return {"x": x.v, "v": u.force - p.stiffness * x.x - p.damping * x.v}

    def observe(self, t, x, u, p):
        return {"place": x.x, "speed": x.v}
