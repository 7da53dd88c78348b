"""What a program calls: captionq over HTTP."""
