"""What runs the course and is not for reading: data in the cache, and more to come here."""
