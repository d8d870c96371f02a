"""Diabetes: glucose under insulin and meals, by physiology and by what sensors record."""
