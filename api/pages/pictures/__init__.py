"""The pictures of a run on the page: their order, their thumbnails, and a person's changes of their captions."""
