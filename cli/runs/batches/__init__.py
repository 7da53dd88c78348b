"""The runs behind `captionq batch`: a file of requests, answered on this Mac or by a running server."""
