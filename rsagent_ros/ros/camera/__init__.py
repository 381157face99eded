"""Camera input: subscriptions, buffers, and the frame that a goal gets."""
