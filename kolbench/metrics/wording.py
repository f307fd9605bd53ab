"""Parts of sentences that definitions of scores share."""

PICTURES = "per picture, averaged over pictures"
POOLED = "pixels of all pictures counted together"
EMPTY = "1 where truth and prediction are both empty, 0 where one is"
EVERY_LEVEL = "the 256 thresholds at which foreground is round(255 alpha) >= 0, 1 ... 255"
ADAPTIVE = "each picture's own threshold, foreground being alpha >= min(2 mean alpha, 1) at 8 bits"
