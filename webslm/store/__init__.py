"""Own what is done with the store besides building: list, check, clean, carry, share."""
