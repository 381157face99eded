"""The scripted expert: a Policy that sees the truth of one scene, and shows how to come to it.

    expert = Expert(scene, seed=7)
    drive(Episode(scene.image, scene.instruction, segmenter), expert, on_turn=expert.see)
    expert.learn        # for each turn, whether its reply is worth learning

It speaks the chat's grammar like any other policy and draws with the real segmenter, which it can't see into: what
comes back is looked at and corrected. On purpose it also goes wrong now and then, because what a policy is to learn
from it is the correction. Its thoughts say nothing that a policy without the truth could not see in the picture or read
in what it was told.

In reading order: `config` (how often it does what), `mask_difference` (a mask beside the truth), `surroundings` (what
else is in view), `thoughts` (each in several wordings), `pointing` (boxes and points of the chat), `episode_state` (how
far the episode has come), `mistakes` (calls and boxes that are wrong on purpose), `naming` (masks by words), `marking`
(one mask, corrected until it is right), `strategy` (a whole episode), `policy` (the Policy).
"""

from rsagent_training.expert.config import ExpertConfig
from rsagent_training.expert.policy import Expert

__all__ = ["Expert", "ExpertConfig"]
