"""Goals from their message to their record: the queue, the runner, the action server, the publishers, the recorder."""
