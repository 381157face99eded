"""Found objects kept in sight: tracks from frame to frame, and re-detection of what was lost."""
