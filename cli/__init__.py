"""What a person types: the `captionq` command."""
