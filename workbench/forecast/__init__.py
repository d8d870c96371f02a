"""What will happen next, and how sure one can be of it."""
