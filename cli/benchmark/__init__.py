"""captionq against the plain loop, on the user's machine and side by side."""
