"""Labelling: a page on loopback on which a person goes through a robot's goals and judges the answers. Needs no ROS.

Reading order: `goal_store` (the records and the storing of verdicts), `goal_row` (the list), `verdicts` (what a
judgement means), `click_masks` (masks by clicks), `page_data` (JSON and pictures of a goal), `server` (HTTP), `address`
(of the page), `assets/` (the page, `page.js` first), `command` (`rsagent label`).
"""
