"""Pictures that move: read, written, smoothed and composited in memory that is constant in their length."""
