"""What a build is: the stages' table, the plan, its walk."""
