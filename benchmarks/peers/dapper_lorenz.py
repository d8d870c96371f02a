"""DAPPER on Lorenz's equations: truth, readings, scores and seconds, written to a file for us to filter as well."""

import argparse
import json
import time
import warnings

import numpy as np

SETTINGS = {
    "lorenz63 root": ("Lorenz63.sakov2012", "Sqrt", {"N": 10, "infl": 1.02, "rot": True}),
    "lorenz63 perturbed": ("Lorenz63.sakov2012", "PertObs", {"N": 100, "infl": 1.01}),
    "lorenz96 root": ("Lorenz96.sakov2008", "Sqrt", {"N": 24, "infl": 1.013, "rot": True}),
    "lorenz96 perturbed": ("Lorenz96.sakov2008", "PertObs", {"N": 40, "infl": 1.06}),
}


def main() -> None:
    """Run one setting for some seeds, and print the record as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    import importlib

    import dapper
    import dapper.da_methods as methods
    from dapper.tools.seeding import set_seed

    module, update, options = SETTINGS[asked.setting]
    hmm = importlib.import_module(f"dapper.mods.{module}").HMM.copy()
    hmm.tseq.Ko = asked.cycles - 1
    found, kept = [], {}
    for seed in range(asked.seeds):
        set_seed(3000 + seed)
        truth, read = hmm.simulate()
        filtering = methods.EnKF(update, **options)
        began = time.perf_counter()
        filtering.assimilate(hmm, truth, read, liveplots=False)
        seconds = time.perf_counter() - began
        analysed = filtering.stats.err.rms.a[hmm.tseq.masko]
        found.append({"rmse": float(np.mean(analysed)), "seconds": seconds})
        kept |= {
            f"truth{seed}": np.asarray(truth, dtype=float)[hmm.tseq.kko],
            f"read{seed}": np.stack([np.asarray(one, dtype=float) for one in read]),
        }
    after = np.flatnonzero(hmm.tseq.masko)[0]
    np.savez(asked.out, start=np.asarray(hmm.X0.mu, dtype=float), every=hmm.tseq.dko, after=after, **kept)
    print(json.dumps({"version": f"DAPPER {dapper.__version__}", "runs": found, "cycles": len(read)}))


if __name__ == "__main__":
    main()
