"""Caption runs over a library of the Photos app, and their titles, descriptions and keywords written back."""
