"""Whether another choice of models would have answered a robot's judged goals better, found out while it is idle.

`candidate` is what a user writes, `goals` are the judged ones of the records, `contest` lets both sides play them and
says how they stand, `worker` does that in a process of its own that `process` keeps, and `promotion` remembers who was
promoted on which evidence, and who decided before.
"""
