"""How readings scatter around what sensors read: families of noise, limits, errors that last."""
