"""Standard messages that other packages read, about what was found and about what is tracked.

`found_object` (what all of them tell about), then one file for each: `detections` (vision_msgs), `label_image`,
`label_points`, `markers`, `object_frames` (tf); `standard_outputs` has them all. Everything is published only while
somebody listens. A goal that was FOUND or NOT_IN_VIEW is told about, and every image in which objects are tracked:
other ends are no answer to act on, and only `~/result` says so.
"""
