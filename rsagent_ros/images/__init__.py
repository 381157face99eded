"""Pixels of image messages, live and in bags alike: encodings, compressed images, depth. Needs no ROS."""
