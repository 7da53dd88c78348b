"""The images of a caption run, and the places of their texts: those of folders, and those of a Photos library."""
