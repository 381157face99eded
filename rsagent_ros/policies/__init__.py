"""The policies: one module or package for each backend of the `Policy` protocol."""
