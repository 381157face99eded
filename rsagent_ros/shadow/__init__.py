"""Shadow mode: would another choice of models have answered a robot's judged goals better? Found out while it is idle.

`candidate` is what a user writes, `judged_goals` lists the judged ones of the records, `comparison` lets both arms
answer them, `paired_result` says whether the candidate is better, `worker` does that in a process of its own that
`process` keeps, and `promotion` writes down which models were promoted on which evidence, and which were active before.
"""
