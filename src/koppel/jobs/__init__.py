"""What runs by itself: the queue, the schedule, and the workers that work it off."""
