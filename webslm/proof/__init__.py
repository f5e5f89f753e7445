"""What a real browser shows of a bundle: the measurements, the scores and the gates."""
