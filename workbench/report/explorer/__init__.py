"""A model that runs in the reader's browser: sliders over what acts on it and what it is made of."""
