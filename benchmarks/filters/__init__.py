"""Filters beside DAPPER, filterpy and particles."""
