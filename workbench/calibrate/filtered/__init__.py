"""Models with process noise: their likelihood through the extended Kalman filter, with its gradient."""
