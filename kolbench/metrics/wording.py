"""Parts of sentences that definitions of scores share."""

PICTURES = "per image, averaged over images"
POOLED = "pixels of all images counted together"
EMPTY = "1 where ground truth and prediction are both empty, 0 where only one is"
EVERY_LEVEL = "the 256 thresholds at which foreground is round(255 alpha) >= 0, 1 ... 255"
ADAPTIVE = "each image's own threshold, foreground being alpha >= min(2 mean alpha, 1) at 8 bits"
