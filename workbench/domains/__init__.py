"""Fields of application: each module declares its equations with sources, loads its data, and knows its scores."""
