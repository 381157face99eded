"""The agent on ROS 2: the only modules that import rclpy or messages.

One goal, from its message to its record:

    goals/action_server, goals/topics     a message becomes a `GoalRequest`
    goals/goal_queue                      admits it as an `ActiveGoal`: it runs, waits, or replaces the running one
    goals/goal_runner                     owns it from then on
      camera/frame_selection                its frame
      goals/episode_runner                  its episode (`agent.Episode`) in the thread `worker`; turns are published
      goals/publishers                      its result, with poses (`poses/`), and standard messages (`outputs/`)
      tracking/                             its masks, kept up to date
      goals/recorder                        its record

`agent_node` constructs and wires these and takes them through the lifecycle; nothing calls back into it. `program` runs
it. `shadow/` compares a candidate's models with the active ones while the node is idle. `client/` is for planners,
`ask/` for a terminal.

Threads, and what each may block on:

    main         signals (program.py)
    executor     seven threads for ROS callbacks. Services for the lifecycle and for promotion block while models load,
                 each accepted action goal until its end; subscriptions, timers and parameters never block
    runner       runs goals one after the other: blocks on the camera's next message and on the episode's next turn,
                 never on a model or on the disk, and never past the goal's deadline. `deadlines` beside it ends goals
                 that wait too long for their turn
    worker       drives episodes: blocks in the policy and the segmenter, for ever if they hang
    tracking     carries masks along: blocks in the tracker and on the camera's next image
    recorder     writes records: blocks on the disk, for ever if it hangs
    loader       loads models while the node is configured: blocks in them
    shadow       pauses and resumes the shadow comparison's process: blocks on the clock alone
"""
