"""What one reading says of its output and of the arguments of its noise: Fisher information, family by family.

Expected information of a location, a scale or a mean is textbook (Lehmann & Casella, Theory of Point Estimation, 2nd
ed. 1998, section 2.5); of Student's t it is that of Lange, Little & Taylor, Journal of the American Statistical
Association 84 (1989) 881-896. A reading under a limit of quantification says less than is counted here.
"""

from collections.abc import Mapping

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from workbench.base.errors import DeclarationError
from workbench.declare.noise import Noise

Array = NDArray[np.float64]


def reading_information(noise: Noise, output: Array, arguments: Mapping[str, Array]) -> Array:
    """Return the information (rows, 1 + arguments, 1 + arguments) of readings around an output (rows,).

    First comes the output, then the arguments in the order of the declaration; NaN where readings above zero are to
    scatter around an output that is not. DeclarationError for a noise whose information is not known. That of AR1 noise
    is of its innovations, whose derivatives `whitened` gives; it needs a further argument `gap`, the time since the
    reading before, infinite where there is none.
    """
    values = [np.broadcast_to(np.asarray(arguments[key], dtype=np.float64), output.shape) for key, _ in noise.arguments]
    found = np.zeros((output.size, 1 + len(values), 1 + len(values)))
    if noise.family.readings != "real":
        output = np.where(output > 0, output, np.nan)
    match noise.name:
        case "Normal":
            found[:, 0, 0], found[:, 1, 1] = values[0] ** -2, 2 * values[0] ** -2
        case "AR1":
            found[:] = _lasting(values[0], values[1], arguments["gap"])
        case "LogNormal":
            found[:, 0, 0], found[:, 1, 1] = (values[0] * output) ** -2, 2 * values[0] ** -2
        case "Laplace":
            found[:, 0, 0], found[:, 1, 1] = values[0] ** -2, values[0] ** -2
        case "StudentT":
            found[:] = _student(*values)
        case "Proportional" | "Combined":
            found[:] = _gaussian(noise.name, output, values)
        case "Poisson":
            found[:, 0, 0] = 1 / output
        case "NegativeBinomial":
            found[:, 0, 0] = values[0] / (output * (values[0] + output))
            found[:, 1, 1] = _dispersion(output, values[0])
        case _:
            raise DeclarationError(f"got noise {noise!r}; expected one whose Fisher information is known")
    return found


def _student(nu: Array, sigma: Array) -> Array:
    """Return the information of a Student's t about output, nu and sigma."""
    found = np.zeros((nu.size, 3, 3))
    found[:, 0, 0] = (nu + 1) / ((nu + 3) * sigma**2)
    trigamma = scipy.special.polygamma(1, nu / 2) - scipy.special.polygamma(1, (nu + 1) / 2)
    found[:, 1, 1] = trigamma / 4 - (nu + 5) / (2 * nu * (nu + 1) * (nu + 3))
    found[:, 2, 2] = 2 * nu / ((nu + 3) * sigma**2)
    found[:, 1, 2] = found[:, 2, 1] = -2 / ((nu + 1) * (nu + 3) * sigma)
    return found


def _gaussian(name: str, output: Array, values: list[Array]) -> Array:
    """Return the information of a Gaussian whose variance V hangs on its mean: mean' mean' / V + V' V' / (2 V^2)."""
    additive, proportional = values if name == "Combined" else (np.zeros_like(output), values[0])
    variance = additive**2 + (proportional * output) ** 2
    slopes = [2 * proportional**2 * output, 2 * additive, 2 * proportional * output**2]
    bends = np.stack(slopes if name == "Combined" else [slopes[0], slopes[2]], axis=1)
    found = bends[:, :, None] * bends[:, None, :] / (2 * variance[:, None, None] ** 2)
    found[:, 0, 0] += 1 / variance
    return found


def _dispersion(mean: Array, alpha: Array) -> Array:
    """Return the information of negative binomial counts about alpha, summed over the counts that matter."""
    found = np.full(mean.size, np.nan)
    for row, (m, a) in enumerate(zip(mean, alpha, strict=True)):
        if np.isnan(m):
            continue
        law = scipy.stats.nbinom(a, a / (a + m))
        top = int(law.isf(1e-12)) + 2
        counts = np.unique(np.linspace(0, top, min(top, 4000) + 1).astype(int))
        weight = np.diff(law.cdf(counts), prepend=0.0)
        score = scipy.special.digamma(counts + a) - scipy.special.digamma(a) + np.log(a / (a + m))
        score += 1 - (a + counts) / (a + m)
        found[row] = weight @ score**2
    return found


def _lasting(sigma: Array, time_constant: Array, gap: Array) -> Array:
    """Return the information of innovations of mean r e and variance sigma^2 (1 - r^2), e the error before."""
    found = np.zeros((sigma.size, 3, 3))
    share = np.exp(-gap / time_constant)
    rest = -np.expm1(-2 * gap / time_constant)
    with np.errstate(invalid="ignore"):
        slope = np.where(np.isinf(gap), 0.0, share * gap / time_constant**2)
    found[:, 0, 0], found[:, 1, 1] = sigma**-2, 2 * sigma**-2
    found[:, 2, 2] = (1 + share**2) / rest**2 * slope**2
    found[:, 1, 2] = found[:, 2, 1] = -2 * share / (sigma * rest) * slope
    return found


def whitened(slopes: Array, gap: Array, time_constant: Array) -> Array:
    """Return derivatives (readings, n) of outputs as those of the innovations of AR1 errors, in the same SD.

    A reading `gap` after another of its unit is expected at exp(-gap / tau) of the error before it, with the variance
    1 - exp(-2 gap / tau) of that of a first one, whose gap is infinite (Jones, Technometrics 22 (1980) 389-395).
    """
    share = np.exp(-gap / time_constant)
    before = np.concatenate([np.zeros_like(slopes[:1]), slopes[:-1]])
    return (slopes - share[:, None] * before) / np.sqrt(-np.expm1(-2 * gap / time_constant))[:, None]
