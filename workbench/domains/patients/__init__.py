"""Patients: what drugs do in the body, and what the body does."""
