"""Declarations written as plain data: equations as text that is parsed, never run."""
