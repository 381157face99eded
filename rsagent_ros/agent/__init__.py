"""The agent: one episode loop and its vocabulary.

Reading order: `episode` (the loop), `actions` (what a policy may do), `prompt` (what it is told), `policy` and
`segmenter` (the two seams). Nothing here knows ROS, torch or a file format other than JSON.
"""
