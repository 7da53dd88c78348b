"""What captionq is measured with: nothing here is installed with it."""
