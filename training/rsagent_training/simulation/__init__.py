"""The parts of the simulator; `rsagent_training.simulate` is the way in."""
