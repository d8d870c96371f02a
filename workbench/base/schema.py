"""Names of dimensions and attributes that travel from a declaration to every result."""

TIME, UNIT, SAMPLE = "time", "unit", "sample"
CHAIN, DRAW, MEMBER = "chain", "draw", "member"
DRAW_DIMS = (CHAIN, DRAW, MEMBER)
