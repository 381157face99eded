"""A small policy trained from nothing on a CPU by the same code as a large one: proof that the stages fit and learn.

    rsagent miniature config/training/miniature.yaml --out runs/miniature

In reading order: `world` (what there is to see), `teacher` (who shows how), `network` (what learns), `recipe`, `stages`
(one after the other), `evaluation`, `statistics`, `report`. `flat_world` is the world of the committed checkpoint.
"""
