"""Poses and surface points of found objects, from depth, in the frame that was asked for."""
