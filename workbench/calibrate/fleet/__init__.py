"""What units share: pooling, populations, and units that were not measured."""
