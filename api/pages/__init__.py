"""The page of `captionq serve`: server-rendered HTML that a little plain JavaScript keeps up to date."""
