"""The subcommands of `rsagent` that measure: `evaluate`, `score` and `compare`."""
