"""What may follow any method: (image, alpha) -> alpha, at the picture's own size.

A refiner is called with image (B, 3, H, W) float32 in [0, 1] and alpha (B, 1, H, W) float32 in [0, 1], on any
device, changes neither, and returns (B, 1, H, W) float32 in [0, 1] on the same device.

So that no large picture is copied to float outside of scoring, one that has `refine_picture` is given single
pictures by it, image (H, W, 3) uint8 RGB, alpha (H, W) float32 in [0, 1] -> (H, W) float32 in [0, 1], and one
with `takes_levels` may be given the image as (B, 3, H, W) uint8.
"""
