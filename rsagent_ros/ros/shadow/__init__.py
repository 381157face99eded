"""Shadow mode in the node: a candidate plays judged goals while the node is idle, and may be promoted."""
