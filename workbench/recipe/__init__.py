"""Recipes: all that makes a twin (declaration, file, columns, inputs, sampling), as one piece of plain data."""
