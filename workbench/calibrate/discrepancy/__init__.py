"""What a model leaves out: a smooth function added to an output, and what it does to the parameters."""
