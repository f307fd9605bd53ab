"""Colours of what a prediction gets wrong, in every picture that shows it: dashboard and report alike."""

# RGB, 0 to 255
FALSE_FOREGROUND = (230, 40, 40)
MISSED_FOREGROUND = (40, 90, 230)
