"""The least that PyMC can do from start to summary: one parameter, ten numbers, nutpie."""


def main() -> None:
    """Sample and print the summary."""
    import arviz as az
    import pymc as pm

    with pm.Model():
        level = pm.Normal("level", 0, 10)
        pm.Normal("reading", level, 1, observed=[1.2, 0.8, 1.5, 0.3, 1.1, 0.9, 1.7, 0.6, 1.0, 1.3])
        tree = pm.sample(draws=1000, tune=1000, chains=2, nuts_sampler="nutpie", random_seed=1, progressbar=False)
    print(az.summary(tree))


if __name__ == "__main__":
    main()
