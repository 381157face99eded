"""What happens off the robot: simulated scenes, and what is made of them."""
