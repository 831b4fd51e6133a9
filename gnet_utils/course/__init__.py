"""What runs the course and is not for reading: the data's download, cache and stand-in."""
