"""report.html: what a build made and proved, as one page without scripts; and what is printed."""
