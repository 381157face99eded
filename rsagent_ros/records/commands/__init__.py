"""Commands about bags and records."""
