"""Pictures of captionq on a terminal, made from real screens."""
