"""What a user's words become: recipes composed, files of their own read, mistakes named."""
