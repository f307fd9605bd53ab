"""Pictures that move: reading, writing, smoothing, compositing, in memory that is constant in their length."""
