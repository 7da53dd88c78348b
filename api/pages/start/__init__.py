"""The page that begins a run: uploads, served folders, options, a sample of three, and the run itself."""
