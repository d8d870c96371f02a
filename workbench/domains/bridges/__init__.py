"""Bridges: structures whose stiffness is learnt from modes."""
