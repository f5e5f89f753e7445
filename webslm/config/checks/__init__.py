"""What refuses a configuration before any work, and why."""
