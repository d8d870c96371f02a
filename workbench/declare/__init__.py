"""The nouns of a twin: quantities, priors, noise, and the models they make; and the trace of a model's equations."""
