"""Goals from their message to their record.

Reading order: `goal_request` and `active_goal` (what a goal is), `action_server` and `topics` (how it comes),
`goal_queue` (when it runs), `goal_runner` and `episode_runner` (what is done), `publishers`, `progress` and `goal_log`
(what is told), `recorder` and `disk_queue` (what is kept), `follow_ups`, `hints` and `verdicts` (what refers to it
later), `worker` (the thread of the models).
"""
