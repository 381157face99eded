"""Property tests here try the same examples every time, and none of them is timed."""

from hypothesis import settings

settings.register_profile("agent", deadline=None, derandomize=True, max_examples=200)
settings.load_profile("agent")
