"""Examples: an instruction about an image, and what is true of it; their folder format."""
