"""From sensors to rows: readings checked, converted and laid out for what compares them with a model."""
