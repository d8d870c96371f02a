"""The evidence for a posterior: the card, and the gates on it."""
