"""`captionq bench`: captionq beside a plain loop over mlx-vlm, on the user's machine."""
