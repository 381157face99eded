"""Reports of a run: data (`summary`), JSON, CSV, Markdown (`tables`), one HTML page (`page`, `charts`, `pictures`)."""
