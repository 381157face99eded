"""The scripted expert: a Policy that sees the truth of one scene, and shows how to come to it.

    expert = Expert(scene, seed=7)
    drive(Episode(scene.image, scene.instruction, segmenter), expert, on_turn=expert.see)
    expert.learn        # for each turn, whether its reply is worth learning

It speaks the chat's grammar like any other policy and draws with the real segmenter, which it can't see into: what
comes back is looked at and corrected. On purpose it also goes wrong now and then, because what a policy is to learn
from it is the correction. Its thoughts say nothing that a policy without the truth could not see in the picture or read
in what it was told.

In reading order: `config` (how often it does what), `comparison` (a mask beside the truth), `surroundings` (what else
is in view), `phrases` (the same said in several ways), `prompts` (boxes and points, right ones and wrong ones),
`marking` (one mask, corrected until it is right), `strategy` (a whole episode), `policy` (the Policy).
"""

from rsagent_training.expert.config import ExpertConfig
from rsagent_training.expert.policy import Expert

__all__ = ["Expert", "ExpertConfig"]
