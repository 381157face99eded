"""Labelling: a page on loopback on which a person goes through a robot's goals and says what was right. Needs no ROS.

Reading order: `goals` (the records and the storing of verdicts), `rows` (the list), `verdicts` (what a judgement says),
`drawing` (the segmenter at the person's hand), `shown` (what the page is told about a goal), `server` (HTTP), `address`
(where it is), `assets/` (the page, `page.js` first), `command` (`rsagent label`).
"""
