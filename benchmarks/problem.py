"""The posterior that every peer samples: lynx and hare pelts of the Hudson's Bay Company, 1900 to 1920.

    hare' = (alpha - beta lynx) hare          alpha, gamma ~ Normal(1, 0.5) > 0
    lynx' = (-gamma + delta hare) lynx        beta, delta ~ Normal(0.05, 0.05) > 0
    pelts ~ LogNormal(log state, sigma)       starts ~ LogNormal(log 10, 1), sigmas ~ LogNormal(-1, 1)

The start is the state in 1900 and the pelts of 1900 are measured too. Time is in years, pelts in thousands. Points and
gradients are on the unconstrained scale: the logarithms of the parameters in the order of `NAMES`.

Sources: Hewitt, C. G. (1921), The Conservation of the Wild Life of Canada, for the data; posteriordb,
hudson_lynx_hare-lotka_volterra, for the priors and the reference means and standard deviations.
"""

import math

NAMES = ("alpha", "beta", "gamma", "delta", "hare0", "lynx0", "sigma_hare", "sigma_lynx")
TOLERANCE = 1e-6  # relative and absolute, for every solver
MAX_STEPS = 10_000

HARE = (30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1, 40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6,
        14.6, 16.2, 24.7)  # fmt: skip
LYNX = (4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4, 8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7,
        10.1, 8.6)  # fmt: skip
YEARS = tuple(float(year) for year in range(len(HARE)))  # since 1900

REFERENCE_MEAN = dict(zip(NAMES, (0.5468645, 0.02774729, 0.80009536, 0.02408592, 34.03522248, 5.93589713, 0.24805686,
                                  0.25101691), strict=True))  # fmt: skip
REFERENCE_SD = dict(zip(NAMES, (0.06305479, 0.00415472, 0.08937018, 0.00352809, 2.91689885, 0.53055204, 0.04326268,
                                0.04359034), strict=True))  # fmt: skip


def reference_start(chain: int, seed: int) -> dict[str, float]:
    """Return a start near the reference means, scattered by a tenth of a posterior SD, the same for every peer."""
    import random

    scatter = random.Random(1000 * seed + chain)
    return {name: REFERENCE_MEAN[name] + 0.1 * REFERENCE_SD[name] * scatter.gauss(0.0, 1.0) for name in NAMES}


def posterior_points() -> list[list[float]]:
    """Return the points, shape (16, 8), at which gradients are timed: draws from the posterior, on the log scale."""
    return [[math.log(value) for value in draw] for draw in _DRAWS]


# Every sixtieth draw of two Stan chains (pystan 3.14, seed 2), rounded: points where a sampler really is.
_DRAWS = (
    (0.5736, 0.02685, 0.7749, 0.02101, 35.42, 6.373, 0.2177, 0.252),
    (0.4936, 0.02451, 0.8607, 0.02705, 31.72, 5.97, 0.2171, 0.2074),
    (0.6183, 0.03071, 0.6873, 0.01964, 35.22, 6.721, 0.208, 0.2853),
    (0.4846, 0.02567, 0.834, 0.02422, 38.69, 5.708, 0.258, 0.268),
    (0.5109, 0.02551, 0.8225, 0.02406, 39.14, 5.429, 0.3023, 0.2294),
    (0.4608, 0.0221, 0.9397, 0.02837, 32.61, 5.885, 0.2475, 0.2918),
    (0.6635, 0.03008, 0.7089, 0.0179, 33.25, 6.364, 0.3459, 0.3761),
    (0.6473, 0.03205, 0.701, 0.02202, 31.54, 5.978, 0.2676, 0.2021),
    (0.6735, 0.03452, 0.6493, 0.0182, 34.34, 6.337, 0.2495, 0.2185),
    (0.5658, 0.03057, 0.7912, 0.02489, 30.72, 5.605, 0.2676, 0.2823),
    (0.6191, 0.03191, 0.7363, 0.02197, 30.7, 6.481, 0.231, 0.2228),
    (0.4655, 0.02052, 0.9087, 0.02516, 42.68, 5.339, 0.3156, 0.2718),
    (0.523, 0.02821, 0.8255, 0.02542, 31.13, 5.537, 0.2825, 0.2511),
    (0.5543, 0.02751, 0.7938, 0.02598, 30.02, 6.196, 0.2968, 0.2099),
    (0.5583, 0.02799, 0.7706, 0.02286, 37.15, 5.336, 0.2288, 0.1984),
    (0.4833, 0.02383, 0.886, 0.02825, 31.6, 6.305, 0.2838, 0.2916),
)
