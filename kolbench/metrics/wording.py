"""Parts of sentences that definitions of scores share."""

PICTURES = "per picture, averaged over pictures"
POOLED = "pixels of all pictures counted together"
EMPTY = "1 where truth and prediction are both empty, 0 where one is"
